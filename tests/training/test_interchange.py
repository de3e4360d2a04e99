"""Strict interchange training, against a network whose every reader sums up what it reads."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.tiny import random_images, random_model
from vitreous.data import Batch, Images
from vitreous.models import HookedViT, NormConfig
from vitreous.terrarium import CausalModel, Variable
from vitreous.training import (
    InterchangeLoss,
    Plan,
    RunFolder,
    find_recipe,
    fit,
    interchange_accuracy,
    new_model,
    strict_accuracy,
    train,
)
from vitreous.training._swapped_runs import Outside, SwappedRuns

SHAPES = {
    "as usual": {},
    "registers, ln_pre, LayerScale": {
        "n_registers": 2,
        "ln_pre": NormConfig(),
        "layer_scale": True,
    },
    "no norms": {"norm": None},
}
SIZE = 4


def sum_of_two(values):
    return (values["one"] + values["picture"][:, 2, 1]) % 5


CAUSAL = CausalModel(
    (
        Variable("one", "a0.h1", {"picture": "v"}, "", lambda v: v["picture"][:, 0, 0]),
        Variable("two", "a1.h3", {"one": "k", "picture": "qv"}, "", sum_of_two),
        Variable("three", "m2", {"one": "", "two": ""}, "", lambda v: (v["one"] + v["two"]) % 5),
    )
)
INSIDE = ("a0.h1", "a1.h3", "m2")


def asking(count: int = SIZE) -> Batch:
    generator = torch.Generator().manual_seed(3)
    symbols = torch.randint(5, (count, 3, 2), generator=generator)
    masks = symbols.repeat_interleave(4, 1).repeat_interleave(4, 2)
    labels = CAUSAL.label(CAUSAL.values(symbols))
    return Batch(torch.arange(count), random_images(count), labels, masks)


def written_one_by_one(
    model: HookedViT, pixels: Tensor, swapped=(), donors=None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits of one picture, and what each source writes.

    `swapped` names sources that write what `donors` wrote, or pairs of a source and a destination
    that alone reads it so.
    """
    writes = {"input": model(pixels[None], stop_at_layer=0)[0]}
    bias = torch.zeros_like(writes["input"])

    def read(destination: str) -> Tensor:
        return bias + sum(
            donors[name] if (name, destination) in swapped else write
            for name, write in writes.items()
        )

    def write(name: str, value: Tensor) -> None:
        writes[name] = donors[name] if name in swapped else value

    def normed(norm, value):
        return value if norm is None else norm(value[None])[0]

    for layer, block in enumerate(model.blocks):
        attn, new = block.attn, {}
        for head in range(model.cfg.n_heads):
            name = f"a{layer}.h{head}"
            q, k, v = (
                normed(block.ln1, read(f"{name}<{letter}>")) @ attn.weight(letter)[head]
                + attn.bias(letter)[head]
                for letter in "qkv"
            )
            pattern = (q @ k.T / q.shape[-1] ** 0.5).softmax(-1)
            new[name] = pattern @ v @ attn.W_O[head]
        for name, value in new.items():
            write(name, value)
        bias = bias + attn.output_bias({})
        write(f"m{layer}", block.mlp(normed(block.ln2, read(f"m{layer}"))[None])[0])
    stream = read("logits")
    return model.head([normed(model.ln_final, stream)[None, 0]])[0], writes


def slow_runs(model: HookedViT, batch: Batch, swapped: list[list]) -> Tensor:
    """Every picture with what is swapped there from the picture before it."""
    writes = [written_one_by_one(model, pixels)[1] for pixels in batch.pixels]
    return torch.stack(
        [
            written_one_by_one(model, batch.pixels[i], swapped[i], writes[i - 1])[0]
            for i in range(len(batch))
        ]
    )


def chosen(rows: Tensor, names: list) -> list[list]:
    return [[name for name, there in zip(names, row, strict=True) if there] for row in rows]


def named(outside: list[Outside]) -> list:
    return [part.source if part.destination is None else tuple(part) for part in outside]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_swapped_runs_are_those_in_which_every_reader_sums_up_what_it_reads(shape):
    model, batch = random_model(**shape), asking()
    runs = SwappedRuns(model, CAUSAL, batch)
    variables, parts = torch.rand(SIZE, 3) < 0.5, torch.rand(SIZE, len(runs.outside)) < 0.4
    logits, _ = runs.interchanged(variables)
    strict = runs.resampled(parts)
    for found, swapped in (
        (runs.logits, [[]] * SIZE),
        (logits, chosen(variables, list(INSIDE))),
        (strict, chosen(parts, named(runs.outside))),
    ):
        torch.testing.assert_close(found, slow_runs(model, batch, swapped), rtol=1e-10, atol=1e-10)
    assert (logits - runs.logits).abs().max() > 1e-3
    assert (strict - runs.logits).abs().max() > 1e-3


def test_outside_is_every_other_node_and_every_other_edge_between_those_inside():
    outside = named(SwappedRuns(random_model(), CAUSAL, asking()).outside)
    nodes = {f"a{layer}.h{head}" for layer in range(3) for head in range(4)} | {"m0", "m1", "m2"}
    edges = {("input", f"{head}<{x}>") for head in ("a0.h1", "a1.h3") for x in "qkv"}
    edges |= {("a0.h1", f"a1.h3<{x}>") for x in "qkv"}
    edges |= {(source, "m2") for source in ("input", "a0.h1", "a1.h3")}
    edges |= {(source, "logits") for source in ("input", *INSIDE)}
    assert len(outside) == len(set(outside))
    assert set(outside) == (nodes - set(INSIDE)) | (edges - set(CAUSAL.edges))


def test_a_causal_model_names_its_edges_as_a_graph_does():
    assert CAUSAL.edges == [
        ("input", "a0.h1<v>"),
        ("a0.h1", "a1.h3<k>"),
        ("input", "a1.h3<q>"),
        ("input", "a1.h3<v>"),
        ("a0.h1", "m2"),
        ("a1.h3", "m2"),
        ("m2", "logits"),
    ]


def test_a_swapped_variable_is_set_and_what_depends_on_it_follows():
    batch = asking(2)
    symbols = batch.masks[:, ::4, ::4]
    own, others = CAUSAL.values(symbols), {k: v.roll(1) for k, v in CAUSAL.values(symbols).items()}
    swapped = torch.tensor([[True, False, False], [False, True, False]])
    values = CAUSAL.values(symbols, swapped, others)
    assert values["one"].tolist() == [own["one"][1], own["one"][1]]
    second = (int(own["one"][1]) + int(symbols[0, 2, 1])) % 5
    assert values["two"].tolist() == [second, int(own["two"][0])]
    assert values["three"][0] == (own["one"][1] + second) % 5


def test_its_parts_are_cross_entropies_of_the_runs_that_it_draws():
    model, batch = random_model(), asking()
    runs, symbols = SwappedRuns(model, CAUSAL, batch), asking().masks[:, ::4, ::4]
    torch.manual_seed(7)
    found = InterchangeLoss(CAUSAL).parts(model, batch)
    torch.manual_seed(7)
    variables, rate = torch.rand(SIZE, 3) < 0.5, 2 * torch.rand(SIZE, 1)
    parts = torch.rand(SIZE, len(runs.outside)) < rate
    answers = []
    for i in range(SIZE):
        values = {}
        for place, (name, value) in enumerate(
            (
                ("one", lambda v, s: s[0, 0]),
                ("two", lambda v, s: (v["one"] + s[2, 1]) % 5),
                ("three", lambda v, s: (v["one"] + v["two"]) % 5),
            )
        ):
            other = CAUSAL.values(symbols[i - 1][None])[name][0]
            values[name] = other if variables[i, place] else value(values, symbols[i])
        answers.append(values["three"])
    expected = [
        functional.cross_entropy(slow_runs(model, batch, swapped), labels)
        for swapped, labels in (
            ([[]] * SIZE, batch.labels),
            (chosen(variables, list(INSIDE)), torch.stack(answers)),
            (chosen(parts, named(runs.outside)), batch.labels),
        )
    ]
    torch.testing.assert_close(list(found), expected, rtol=1e-10, atol=1e-10)
    torch.manual_seed(7)
    weighted = InterchangeLoss(CAUSAL, interchange=2.0, strict=0.5)(model, batch)
    torch.testing.assert_close(weighted, expected[0] + 2 * expected[1] + 0.5 * expected[2])


def test_half_of_the_pictures_get_all_that_is_outside_from_another_one(monkeypatch):
    drawn = []
    resampled = SwappedRuns.resampled
    monkeypatch.setattr(
        SwappedRuns, "resampled", lambda runs, rows: drawn.append(rows) or resampled(runs, rows)
    )
    torch.manual_seed(0)
    InterchangeLoss(CAUSAL)(random_model(), asking(200))
    all_of_it = drawn[0].all(1).double().mean()
    assert 0.4 < all_of_it < 0.62
    assert 0.05 < drawn[0][~drawn[0].all(1)].double().mean() < 0.8


def test_a_gradient_reaches_every_weight():
    model = random_model()
    InterchangeLoss(CAUSAL)(model, asking()).backward()
    # A bias of keys moves all scores of a query alike.
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


class Wrapped(nn.Module):
    """As a model is where several processes share a batch: only a pass through it is shared."""

    def __init__(self, module: HookedViT) -> None:
        super().__init__()
        self.module, self.passes = module, 0

    def forward(self, *inputs, **keywords):
        self.passes += 1
        return self.module(*inputs, **keywords)


def test_a_wrapped_model_is_called_itself_three_times():
    model, found = random_model(), []
    for each in (model, wrapped := Wrapped(model)):
        torch.manual_seed(0)
        found.append(InterchangeLoss(CAUSAL)(each, asking()))
    assert found[0] == found[1]
    assert wrapped.passes == 3


def test_no_hook_stays():
    model, batch = random_model(), asking()
    before = model(batch.pixels)
    InterchangeLoss(CAUSAL)(model, batch)
    assert torch.equal(model(batch.pixels), before)


def test_a_network_that_ignores_its_circuit_has_the_accuracies_of_one():
    model, batch = random_model(), asking(40)
    with torch.no_grad():
        model.head.linear.weight.zero_()
        model.head.linear.bias.copy_(torch.tensor([0.0, 0, 1, 0, 0]))
    images = Images.from_tensor(batch.pixels, batch.labels, batch.masks, batch_size=20)
    assert strict_accuracy(CAUSAL, model, images) == (batch.labels == 2).double().mean()
    answers = []
    for part in images:
        runs = SwappedRuns(model, CAUSAL, part)
        answers += [
            runs.interchanged(torch.eye(3)[place].bool().expand(20, 3))[1] for place in range(3)
        ]
    expected = (torch.cat(answers) == 2).double().mean()
    assert interchange_accuracy(CAUSAL, model, images) == pytest.approx(float(expected))


def small(name: str, steps: int, read=None):
    recipe = find_recipe(name)

    def images(split: str) -> Images:
        of_recipe = recipe.images(split)
        return replace(of_recipe, count=32, read=read(of_recipe.read) if read else of_recipe.read)

    plan = Plan(steps=steps, batch_size=8, learning_rate=1e-3, shuffle=False)
    return replace(recipe, images=images, plan=plan, n_means=8, workers=0)


class Stop(Exception):
    pass


def stopping_at(count: int):
    """Pictures that can't be read from a place on."""

    def around(read):
        def guarded(index: int):
            if index >= count:
                raise Stop
            return read(index)

        return guarded

    return around


def test_a_training_that_is_interrupted_goes_on_to_the_same_bits(tmp_path):
    whole = train(small("circuit-cued", 2), folder=RunFolder(tmp_path / "whole"))
    folder = RunFolder(tmp_path / "broken", every=1)
    with pytest.raises(Stop):
        train(small("circuit-cued", 2, stopping_at(8)), folder=folder)
    assert folder.is_unfinished
    resumed = train(small("circuit-cued", 2), folder=folder)
    assert resumed.card["steps"] == 2
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_one_step_of_a_recipe_changes_every_weight_and_writes_all_numbers_on_its_card():
    recipe = small("circuit-common", 1)
    card = train(recipe).card
    assert set(card["tests"]["test"]) == {
        "images",
        "accuracy",
        "interchange_accuracy",
        "strict_accuracy",
    }
    assert card["steps"] == 1


def test_a_few_steps_lower_the_loss():
    recipe = small("circuit-cued", 30)
    model = new_model(recipe, 0)
    images = recipe.images("train")
    torch.manual_seed(1)
    before = InterchangeLoss(recipe.loss.causal)(model, images[:32])
    fit(model, images, recipe.plan, seed=0, loss=recipe.loss)
    torch.manual_seed(1)
    assert InterchangeLoss(recipe.loss.causal)(model, images[:32]) < 0.9 * before
