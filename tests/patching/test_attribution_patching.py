"""One gradient says what patching each node would do, where the model is linear."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.hooks import Ablate, Steer
from vitreous.models import PoolingConfig
from vitreous.patching import attribution_patching

POINTS = {
    "heads": ("attn.hook_z", ("head",)),
    "layers": ("hook_resid_pre", ()),
    "mlps": ("hook_mlp_out", ()),
    "positions": ("hook_resid_pre", ("token",)),
    "heads_and_positions": ("attn.hook_z", ("head", "token")),
    "q": ("attn.hook_q", ("head",)),
    "k": ("attn.hook_k", ("head",)),
    "v": ("attn.hook_v", ("head",)),
    "pattern": ("attn.hook_pattern", ("head",)),
    "neurons": ("mlp.hook_post", ("neuron",)),
}
ATTENTION_ONLY = "attention only, RMSNorm"
CLEAN, CORRUPT = random_images(2), random_images(2, seed=7)


def kinds_of(readout: str) -> list[str]:
    lacks_mlps = readout == ATTENTION_ONLY
    return [over for over in POINTS if not (lacks_mlps and over in ("mlps", "neurons"))]


def part(over: str, index: tuple[int, ...]) -> tuple:
    """Where the values of a node stand in the tensor at its point."""
    at = dict(zip(POINTS[over][1], index, strict=True))
    if over == "pattern":
        return (slice(None), at["head"])
    if over == "neurons":
        return (slice(None), slice(None), at["neuron"])
    return (slice(None), at.get("token", slice(None)), *([at["head"]] if "head" in at else []))


def patched(model, base, there, target, over, layer, index, share=1.0):
    """A whole hooked pass in which one node goes `share` of the way to the other run."""
    name = f"blocks.{layer}.{POINTS[over][0]}"
    where, other = part(over, index), there[name]

    def replace(value, hook):
        value[where] = value[where] + share * (other[where] - value[where])

    with torch.no_grad():
        return target(model.run_with_hooks(base, fwd_hooks=[(name, replace)]))


def exact(model, base, source, target, over) -> np.ndarray:
    """Every node patched by itself."""
    there = model.run_with_cache(source)[1]
    value = there[f"blocks.0.{POINTS[over][0]}"]
    sizes = {"head": 4, "token": value.shape[1], "neuron": value.shape[-1]}
    shape = [sizes[dim] for dim in POINTS[over][1]]
    effect = np.zeros((len(base), model.cfg.n_layers, *shape))
    with torch.no_grad():
        baseline = target(model(base))
    for layer, *index in np.ndindex(model.cfg.n_layers, *shape):
        value = patched(model, base, there, target, over, layer, tuple(index))
        effect[(slice(None), layer, *index)] = value - baseline
    return effect


def linear_model():
    """No norms, patterns that are given, and MLPs without a bend: a linear map of the image."""
    model = random_model(norm=None, pooling=PoolingConfig("mean", None))
    n_tokens = model.layout.n_tokens
    pattern = random_images(1, seed=3).new_tensor(
        np.random.default_rng(0).random((4, *[n_tokens] * 2))
    )
    pre = {}

    def keep(value, hook):
        pre[hook.layer()] = value

    model.add_hook("blocks.*.attn.hook_pattern", lambda value, hook: pattern.expand(value.shape))
    model.add_hook("blocks.*.mlp.hook_pre", keep)
    model.add_hook("blocks.*.mlp.hook_post", lambda value, hook: 0.5 * pre[hook.layer()])
    return model


@pytest.mark.parametrize("over", ["heads", "layers", "mlps", "heads_and_positions", "v", "neurons"])
def test_it_is_exact_on_a_linear_model(over):
    model = linear_model()
    target = model.target(0, minus=1)
    for direction, runs in (("denoise", (CORRUPT, CLEAN)), ("noise", (CLEAN, CORRUPT))):
        truth = exact(model, *runs, target, over)
        assert np.abs(truth).max() > 1e-3
        for gradient in ("clean", "corrupt", "integrated", "integrated-activations"):
            found = attribution_patching(
                model, CLEAN, CORRUPT, target, over=over, direction=direction, gradient=gradient,
                steps=2, check=0,
            )  # fmt: skip
            np.testing.assert_allclose(found["effect"], truth, rtol=0, atol=1e-10)


@pytest.mark.parametrize("readout", READOUTS)
def test_its_error_falls_with_the_step(readout):
    model = random_model(**READOUTS[readout])
    clean, corrupt = images_of(model, 1), images_of(model, 1, seed=7)
    target, layer = model.target(0, minus=1), model.cfg.n_layers - 2
    there = model.run_with_cache(clean)[1]
    with torch.no_grad():
        baseline = target(model(corrupt))
    for over in kinds_of(readout):
        found = attribution_patching(model, clean, corrupt, target, over=over, check=0)["effect"]
        index = tuple(size - 1 for size in found.shape[2:])
        estimate, off = found.values[(0, layer, *index)], []
        for share in (1e-3, 1e-5):
            value = patched(model, corrupt, there, target, over, layer, index, share)
            off.append(abs((value - baseline).item() / share - estimate))
        assert off[1] <= max(0.03 * off[0], 1e-9), (over, off)


@pytest.mark.parametrize("over", ["layers", "mlps"])
def test_along_the_way_of_one_node_it_goes_to_the_exact_effect(over):
    model = random_model()
    target = model.target(0, minus=1)
    truth = exact(model, CORRUPT, CLEAN, target, over)
    errors = []
    for steps in (16, 64):
        found = attribution_patching(
            model, CLEAN, CORRUPT, target, over=over, gradient="integrated-activations", steps=steps
        )
        errors.append(np.abs(found["effect"].values - truth).max())
    assert errors[1] < errors[0] / 8  # the rule of middles errs by the square of a step
    assert errors[1] < 0.02 * np.abs(truth).max()


@pytest.mark.parametrize("over", ["heads", "neurons", "positions", "heads_and_positions"])
def test_the_nodes_of_a_layer_add_up_to_the_layer(over):
    model = random_model()
    target = model.target(0, minus=1)
    found = attribution_patching(
        model,
        CLEAN,
        CORRUPT,
        target,
        over=over,
        gradient="integrated-activations",
        steps=64,
        check=0,
    )
    for layer in range(model.cfg.n_layers):
        name = f"blocks.{layer}.{POINTS[over][0]}"
        there = model.run_with_cache(CLEAN)[1][name]
        with torch.no_grad():
            hooks = [(name, lambda value, hook, there=there: there)]
            value = target(model.run_with_hooks(CORRUPT, fwd_hooks=hooks)) - target(model(CORRUPT))
        total = found["effect"].sel(layer=layer).sum(list(POINTS[over][1]))
        np.testing.assert_allclose(total, value, rtol=0, atol=0.005 * value.abs().max())


@pytest.mark.parametrize("readout", READOUTS)
def test_along_the_embedding_the_stream_explains_the_whole_difference(readout):
    model = random_model(**READOUTS[readout])
    corrupt = images_of(model, seed=7)
    clean = corrupt + 0.03 * (images_of(model) - corrupt)
    target = model.target(0, minus=1)
    errors = []
    for steps in (8, 64):
        found = attribution_patching(
            model, clean, corrupt, target, over="layers", layers=[0], gradient="integrated",
            steps=steps, check=0,
        )  # fmt: skip
        errors.append(np.abs(found["normalized"].values - 1).max())
    assert errors[1] < max(errors[0] / 4, 1e-8)
    assert errors[1] < 0.1


def test_the_path_is_that_of_the_images_where_the_embedding_is_linear():
    model = random_model()
    target = model.target(0, minus=1)
    found = attribution_patching(model, CLEAN, CORRUPT, target, gradient="integrated", steps=3)
    slope = 0
    for share in (1 / 6, 3 / 6, 5 / 6):
        z = {}

        def keep(value, hook, z=z):
            z[hook.layer()] = 1 * value
            return z[hook.layer()]

        mixed = CORRUPT + share * (CLEAN - CORRUPT)
        logits = model.run_with_hooks(mixed, fwd_hooks=[("blocks.*.attn.hook_z", keep)])
        own = torch.autograd.grad(target(logits).sum(), [z[layer] for layer in range(3)])
        slope = slope + torch.stack(own, 1) / 3
    runs = [model.run_with_cache(images)[1] for images in (CLEAN, CORRUPT)]
    z_clean, z_corrupt = (torch.stack([run["z", i] for i in range(3)], 1) for run in runs)
    expected = ((z_clean - z_corrupt) * slope).sum((2, 4))
    np.testing.assert_allclose(found["effect"], expected.detach(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("gradient", ["clean", "integrated", "integrated-activations"])
def test_batches_and_hooks_change_nothing_that_they_should_not(gradient):
    model = random_model()
    target = model.target([0, 1], minus=2)
    active = [Ablate("L1M", "zero"), Steer("blocks.1.hook_resid_pre", torch.ones(16), 0.5)]
    results = []
    with model.intervene(active):
        for max_batch in (1, 64):
            results.append(
                attribution_patching(
                    model, CLEAN, CORRUPT, target, gradient=gradient, max_batch=max_batch, check=12
                )
            )
        truth = exact(model, CORRUPT, CLEAN, target, "heads")
    for name in ("effect", "sampled_exact", "sampled_estimate"):
        np.testing.assert_allclose(results[0][name], results[1][name], rtol=0, atol=1e-12)
    sample = dict(zip(results[0]["component"].values, results[0]["sampled_exact"].T, strict=True))
    assert len(sample) == 12
    for layer, head in np.ndindex(3, 4):
        own = sample[f"layer {layer}, head {head}"]
        np.testing.assert_allclose(own, truth[:, layer, head], rtol=0, atol=1e-10)


@pytest.mark.parametrize("over", POINTS)
def test_the_sample_is_patched_for_real(over):
    model = random_model()
    target = model.target(0, minus=1)
    found = attribution_patching(model, CLEAN, CORRUPT, target, over=over, check=3, seed=2)
    truth = exact(model, CORRUPT, CLEAN, target, over)
    for column, label in enumerate(found["component"].values):
        place = tuple(int(word.split()[1]) for word in str(label).split(", "))
        one, guess = (found[f"sampled_{kind}"][:, column] for kind in ("exact", "estimate"))
        np.testing.assert_allclose(one, truth[(slice(None), *place)], rtol=0, atol=1e-10)
        np.testing.assert_array_equal(guess, found["effect"].values[(slice(None), *place)])
    exacts, guesses = found["sampled_exact"].values, found["sampled_estimate"].values
    assert found.attrs["mean_absolute_error"] == pytest.approx(abs(exacts - guesses).mean())
    expected = np.corrcoef(exacts.ravel(), guesses.ravel())[0, 1]
    assert found.attrs["correlation"] == pytest.approx(expected)
    again = attribution_patching(model, CLEAN, CORRUPT, target, over=over, check=3, seed=2)
    assert found.identical(again)


def test_only_the_tokens_asked_for_are_patched():
    model = random_model()
    target = model.target(0, minus=1)
    all_tokens = attribution_patching(model, CLEAN, CORRUPT, target, over="heads_and_positions")
    some = attribution_patching(
        model, CLEAN, CORRUPT, target, over="heads", positions="patches", check=12
    )
    expected = all_tokens["effect"].isel(token=slice(1, None)).sum("token")
    np.testing.assert_allclose(some["effect"], expected, rtol=0, atol=1e-12)
    by_token = attribution_patching(
        model, CLEAN, CORRUPT, target, over="positions", positions=[0, 3], layers=[2]
    )
    assert by_token["token"].values.tolist() == [0, 3]
    assert by_token["layer"].values.tolist() == [2]


def test_attention_stays_fused():
    model = random_model()

    def never(*args, **keywords):
        raise AssertionError("scores were computed")

    for block in model.blocks:
        block.attn.scores = never
        block.attn.results = never
    attribution_patching(model, CLEAN, CORRUPT, 0, over="heads_and_positions", check=4)


def test_the_signs_of_effect_and_of_its_normal_form():
    model = random_model()
    for direction, baseline in (("denoise", "corrupt"), ("noise", "clean")):
        found = attribution_patching(model, CLEAN, CORRUPT, 0, direction=direction)
        patched_value = found[baseline] + found["effect"]
        expected = (patched_value - found["corrupt"]) / (found["clean"] - found["corrupt"])
        np.testing.assert_allclose(found["normalized"], expected.transpose(*found["effect"].dims))
        assert found.attrs["gradient"] == baseline


def test_half_precision_is_multiplied_as_float32():
    model, images = random_model(), torch.cat([CLEAN, CORRUPT])
    wide = attribution_patching(model, images[:2], images[2:], 0)["effect"]
    low = model.half()
    half = attribution_patching(low, images[:2].half(), images[2:].half(), 0)["effect"]
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, wide, rtol=0, atol=0.02 * float(abs(wide).max()))
