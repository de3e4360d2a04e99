"""The tuned lens learns what can be read, and reads it as every lens does."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.lenses.planted import drift_from, drifting_model
from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous import WeightsError
from vitreous.data import Images
from vitreous.lenses import TunedLens, evaluate_lens, logit_lens
from vitreous.models import HookedViT, PoolingConfig
from vitreous.training import Plan, RunFolder

QUICK = Plan(batch_size=4, learning_rate=1e-2, steps=6)


def random_lens(model: HookedViT, *groups: str, seed: int = 5) -> TunedLens:
    generator = torch.Generator().manual_seed(seed)
    n_layers, width = model.cfg.n_layers, model.cfg.d_model

    def random(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)

    biases = {group: random(n_layers, width) for group in groups}
    weights = {group: random(n_layers, width, width) for group in groups}
    return TunedLens(biases, weights, None, {})


def same(one, other) -> None:
    assert set(one.data_vars) == set(other.data_vars)
    for name in one.data_vars:
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", READOUTS)
def test_a_lens_that_has_learned_nothing_is_the_logit_lens(readout):
    model = random_model(**READOUTS[readout])
    images, width = images_of(model), model.cfg.d_model
    nothing = {"all": torch.zeros(model.cfg.n_layers, width).double()}
    same(TunedLens(nothing, None, None, {})(model, images), logit_lens(model, images))


def test_each_group_of_tokens_goes_through_its_own_map_and_the_last_layer_through_none():
    model = random_model(n_registers=2, distillation_token=True)
    lens = random_lens(model, "cls", "distillation", "registers", "patches")
    resid = model(random_images(), stop_at_layer=2).detach()
    groups = ["cls", "distillation", "registers", "registers", *["patches"] * 6]
    for layer in (-1, 0, 1):
        translated = lens.translate(resid, layer, model.layout)
        for token, group in enumerate(groups):
            h = resid[1, token]
            moved = h + lens.weights[group][layer + 1] @ h + lens.biases[group][layer + 1]
            torch.testing.assert_close(translated[1, token], moved, rtol=0, atol=1e-12)
    assert torch.equal(lens.translate(resid, 2, model.layout), resid)


@pytest.mark.parametrize("readout", READOUTS)
def test_any_lens_ends_in_the_output_of_the_model(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    read = random_lens(model, "all")(model, images, positions=None)
    np.testing.assert_allclose(
        read["readout"].sel(layer=2), model(images).detach(), rtol=0, atol=1e-10
    )
    assert read.attrs["lens"] == "tuned"


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("groups", ["separate", "together"])
def test_a_planted_drift_is_undone(pooling, groups):
    model = drifting_model(pooling=PoolingConfig(pooling))
    plan = Plan(batch_size=64, learning_rate=0.1, steps=400, weight_decay=0)
    seen, held_out = random_images(512, seed=3), random_images(64, seed=4)
    lens = TunedLens.fit(model, seen, plan, groups=groups, toward="own")
    before, after = (evaluate_lens(model, held_out, each)["kl"] for each in (None, lens))
    assert (before.mean("image").sel(layer=[-1, 0, 1]) > 1e-2).all()
    assert after.mean("image").max() < 1e-4
    # Each patch too, against what it says in the end.
    read = torch.from_numpy(lens(model, held_out, positions="patches")["logit"].values)
    logs = read.log_softmax(-1)
    last = logs[:, -1:]
    assert (last.exp() * (last - logs)).sum(-1).mean((0, 2)).max() < 1e-4


def test_the_planted_drift_itself_reads_without_error():
    model = drifting_model()
    maps = [drift_from(model, layer) for layer in (-1, 0, 1)]
    eye = torch.eye(8)
    weights = {"all": torch.stack([matrix - eye for matrix, _ in maps])}
    lens = TunedLens({"all": torch.stack([vector for _, vector in maps])}, weights, None, {})
    grades = evaluate_lens(model, random_images(8), lens)
    assert grades["kl"].max() < 1e-12
    assert grades["causal_cosine"].min() > 1 - 1e-10


def targets_by_hand(model: HookedViT, images: torch.Tensor, toward: str) -> torch.Tensor:
    """Logits [images, tokens, labels], token by token."""
    lens, output = logit_lens(model, images), model(images).detach()
    own = torch.from_numpy(lens["logit"].sel(layer=2).values)
    read = model.layout.select("readout")
    rows = [
        own[:, token] if toward == "own" or (toward == "read" and token in read) else output
        for token in range(own.shape[1])
    ]
    return torch.stack(rows, 1)


@pytest.mark.parametrize("toward", ["read", "own", "image"])
@pytest.mark.parametrize("readout", ["distillation", "mean behind the norm", "attention pooling"])
def test_the_loss_is_the_mean_divergence_over_tokens_layers_and_groups(readout, toward):
    model = random_model(**READOUTS[readout])
    images = random_images(4)
    plan = Plan(batch_size=4, learning_rate=1e-2, steps=1)
    lens = TunedLens.fit(model, images, plan, toward=toward)
    read = torch.from_numpy(logit_lens(model, images, layers=[-1, 0, 1])["logit"].values)
    wanted = targets_by_hand(model, images, toward)[:, None].expand_as(read)
    each = functional.kl_div(
        read.log_softmax(-1), wanted.log_softmax(-1), log_target=True, reduction="none"
    ).sum(-1)
    by_group = [
        each[:, :, model.layout.select(group)].mean()
        for group in ("cls", "distillation", "patches")
        if getattr(model.layout, group, True)
    ]
    assert lens.about["loss"] == pytest.approx(torch.stack(by_group).mean().item(), rel=1e-6)


@pytest.mark.parametrize("readout", READOUTS)
def test_fitting_brings_every_model_nearer_to_its_output(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model, 8)
    plan = Plan(batch_size=8, learning_rate=1e-2, steps=25)
    lens = TunedLens.fit(model, images, plan, toward="own")
    untuned, tuned = (evaluate_lens(model, images, each)["kl"].mean() for each in (None, lens))
    assert tuned < untuned


def test_a_lens_of_biases_alone_has_no_matrices():
    model = random_model()
    lens = TunedLens.fit(model, random_images(8), QUICK, bias_only=True)
    assert lens.weights is None
    resid = torch.zeros(1, 7, 16).double()
    moved = lens.translate(resid, 0, model.layout)[0]
    torch.testing.assert_close(moved[0], lens.biases["cls"][1])
    torch.testing.assert_close(moved[3], lens.biases["patches"][1])


def test_fitting_leaves_the_model_as_it_was():
    model = random_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    next(model.parameters()).requires_grad_(False)
    learning = [each.requires_grad for each in model.parameters()]
    TunedLens.fit(model, random_images(8), QUICK)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [each.requires_grad for each in model.parameters()] == learning
    assert all(each.grad is None for each in model.parameters())


class Interrupts:
    """A log that ends a fit at its third row, as Ctrl-C does."""

    def start(self, start):
        self.rows = 0

    def write(self, progress):
        self.rows += 1
        if self.rows == 3:
            raise KeyboardInterrupt

    def flush(self):
        pass

    def close(self):
        pass


def test_an_interrupted_fit_goes_on_and_ends_with_the_same_bits(tmp_path):
    model, images = random_model(), Images.from_tensor(random_images(20))
    plan = Plan(batch_size=4, learning_rate=1e-2, steps=60)
    whole = TunedLens.fit(model, images, plan, seed=7)
    folder = RunFolder(tmp_path / "lens", every=4)
    with pytest.raises(KeyboardInterrupt):
        TunedLens.fit(model, images, plan, seed=7, folder=folder, logs=[Interrupts()])
    assert folder.is_unfinished
    resumed = TunedLens.fit(model, images, plan, seed=7, folder=RunFolder(folder.path, every=4))
    for group, bias in whole.biases.items():
        assert torch.equal(bias, resumed.biases[group])
        assert torch.equal(whole.weights[group], resumed.weights[group])
    assert [each.name for each in folder.path.iterdir()] == ["lens.safetensors"]


def test_a_finished_fit_is_read_and_not_done_again(tmp_path):
    model, images = random_model(), random_images(8)
    fits = [TunedLens.fit(model, images, QUICK, folder=RunFolder(tmp_path)) for _ in range(2)]
    assert fits[0].about == fits[1].about  # the seconds too
    with pytest.raises(OSError, match="or hold a lens with seed 1; got 0"):
        TunedLens.fit(model, images, QUICK, seed=1, folder=RunFolder(tmp_path))


def test_a_saved_lens_is_the_same_lens(tmp_path):
    model, images = random_model(), random_images(8)
    lens = TunedLens.fit(model, images, QUICK)
    lens.save(tmp_path / "a.safetensors")
    again = TunedLens.load(tmp_path / "a.safetensors")
    assert again.about == lens.about and again.model_weights == lens.model_weights
    same(again(model, images), lens(model, images))


def test_a_lens_for_another_model_says_so():
    model = random_model()
    lens = TunedLens.fit(model, random_images(8), QUICK)
    for read in [
        lambda other: lens(other, random_images()),
        lambda other: evaluate_lens(other, random_images(), lens),
        lambda other: lens.export("nowhere", other),
    ]:
        with pytest.raises(WeightsError, match="A lens must be read with the model that it was"):
            read(random_model(seed=1))


def test_half_precision_is_fitted_in_single():
    model = random_model().bfloat16()
    images = random_images(8).bfloat16()
    lens = TunedLens.fit(model, images, QUICK)
    assert lens.biases["cls"].dtype == torch.float32
    assert np.isfinite(lens(model, images)["logit"]).all()
