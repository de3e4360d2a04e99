"""Paths between components: against sums by hand, and a slow writing of the four passes."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.hooks import Ablate, Steer
from vitreous.models import PoolingConfig
from vitreous.patching import patch_edges, path_patching

CLEAN, CORRUPT = random_images(2), random_images(2, seed=7)


def place(name: str) -> tuple[str, int | None]:
    """`L0H1` as where a head writes, `L0M` as where an MLP does."""
    layer = name[1]
    if name.endswith("M"):
        return f"blocks.{layer}.hook_mlp_out", None
    return f"blocks.{layer}.attn.hook_z", int(name[3])


def four_passes(model, base, source, target, senders, receivers, freeze) -> torch.Tensor:
    """From the definition: whole passes, queries, keys and values held, inputs per head on show."""
    names = [n for n in model.hook_names() if n.rsplit("_", 1)[-1] in ("q", "k", "v")]
    names = [n for n in names if "attn" in n and "rot" not in n]
    outs = [n for n in model.hook_names() if n.endswith("hook_mlp_out")]
    there = model.run_with_cache(source)[1]  # A
    here = model.run_with_cache(base)[1]  # B
    kept = {}

    def hold(value, hook):
        return here[hook.name]

    def send(value, hook):
        for name in senders:
            point, head = place(name)
            if point == hook.name and head is None:
                value[:] = there[point]
            elif point == hook.name:
                value[:, :, head] = there[point][:, :, head]
        return value

    def read(value, hook):
        kept[hook.name] = value.clone()

    reads = []
    for name in receivers:
        if name == "logits":
            reads.append((f"blocks.{model.cfg.n_layers - 1}.hook_resid_post", None))
        elif name.endswith("M"):
            reads.append((f"blocks.{name[1]}.mlp.hook_pre", None))
            if model.cfg.mlp_gate:
                reads.append((f"blocks.{name[1]}.mlp.hook_pre_linear", None))
        else:
            reads.append((f"blocks.{name[1]}.hook_{name[-2]}_input", int(name[3])))

    points = sorted({place(name)[0] for name in senders})
    hooks = [(point, read) for point in sorted({point for point, _ in reads})]
    hooks += [(names, hold)] if "heads" in freeze else []
    hooks += [(outs, hold)] if "mlps" in freeze and outs else []
    hooks += [(point, send) for point in points]
    with torch.no_grad():
        model.run_with_hooks(base, fwd_hooks=hooks)  # C

        def put(value, hook):
            for point, head in reads:
                if point == hook.name and head is None:
                    value[:] = kept[point]
                elif point == hook.name:
                    value[:, :, head] = kept[point][:, :, head]
            return value

        points = sorted({point for point, _ in reads})
        return target(model.run_with_hooks(base, fwd_hooks=[(points, put)]))  # D


HEADS, BOTH = ("heads",), ("heads", "mlps")
ASKED = [
    (["L0H1"], ["L2H3<q>"], HEADS, "denoise"),
    (["L0H1", "L0H2"], ["L1H0<k>", "L2H0<v>", "L2H3<v>"], BOTH, "noise"),
    (["L1H2"], ["logits"], HEADS, "noise"),
    (["L0H0"], ["L1H2<v>"], (), "denoise"),
]
OF_MLPS = [
    (["L0M", "L0H3"], ["L1M", "L2H1<q>", "L2H1<k>", "L2H1<v>"], HEADS, "denoise"),
    (["L0H1"], ["L2M"], BOTH, "denoise"),
]


@pytest.mark.parametrize("readout", READOUTS)
def test_it_equals_four_whole_passes(readout):
    model = random_model(**READOUTS[readout])
    runs = {"clean": images_of(model), "corrupt": images_of(model, seed=7)}
    target = model.target(0, minus=1)
    for senders, receivers, freeze, direction in ASKED + OF_MLPS * (not model.cfg.attn_only):
        found = path_patching(
            model, *runs.values(), target, senders=senders, receivers=receivers,
            freeze=freeze, direction=direction,
        )  # fmt: skip
        base, source = list(runs.values())[:: -1 if direction == "denoise" else 1]
        patched = four_passes(model, base, source, target, senders, receivers, freeze)
        with torch.no_grad():
            expected = patched - target(model(base))
        assert expected.abs().max() > 1e-7
        np.testing.assert_allclose(found["effect"], expected, rtol=0, atol=1e-10)


def linear_model():
    """Two layers of attention with given patterns, no norms: every path is a product."""
    model = random_model(n_layers=2, d_mlp=None, norm=None, pooling=PoolingConfig("mean", None))
    n_tokens = model.layout.n_tokens
    pattern = torch.tensor(np.random.default_rng(0).random((4, n_tokens, n_tokens)))
    model.add_hook("blocks.*.attn.hook_pattern", lambda value, hook: pattern.expand(value.shape))
    return model, pattern


def by_hand(model, pattern) -> torch.Tensor:
    """What changed images write through head 1 of layer 0, as head 2 of layer 1 moves it."""
    z = [model.run_with_cache(images)[1]["z", 0][:, :, 1] for images in (CLEAN, CORRUPT)]
    written = (z[0] - z[1]) @ model.W_O[0, 1]
    moved = pattern[2] @ (written @ model.W_V[1, 2]) @ model.W_O[1, 2]
    said = moved[:, model.layout.n_prefix :].mean(1) @ model.W_U
    return (said[:, 0] - said[:, 1]).detach()


def test_a_path_of_a_linear_model_is_a_product_of_its_matrices():
    model, pattern = linear_model()
    target = model.target(0, minus=1)
    expected = by_hand(model, pattern)
    assert expected.abs().max() > 1e-3
    found = path_patching(
        model, CLEAN, CORRUPT, target, senders="L0H1", receivers="L1H2<v>", direction="denoise"
    )
    np.testing.assert_allclose(found["effect"], expected, rtol=0, atol=1e-10)
    other = path_patching(
        model, CLEAN, CORRUPT, target, senders="a0.h1", receivers="a1.h2", direction="noise"
    )
    np.testing.assert_allclose(other["effect"], -expected, rtol=0, atol=1e-10)
    edge = patch_edges(model, CLEAN, CORRUPT, target, edges=["a0.h1->a1.h2<v>"])
    np.testing.assert_allclose(edge["effect"][:, 0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("receivers", ["L2H1<k>", "L1M", "logits"])
def test_a_sweep_is_each_sender_by_itself(receivers):
    model = random_model()
    target = model.target([0, 1], minus=2)
    for senders, dims in (("heads", ("layer", "head")), ("mlps", ("layer",))):
        swept = path_patching(
            model, CLEAN, CORRUPT, target, senders=senders, receivers=receivers, max_batch=7
        )
        assert swept["effect"].dims == ("pair", *dims)
        for index in np.ndindex(*swept["effect"].shape[1:]):
            name = f"L{index[0]}M" if len(index) == 1 else "L{}H{}".format(*index)
            own = swept["effect"].values[(slice(None), *index)]
            try:
                alone = path_patching(
                    model, CLEAN, CORRUPT, target, senders=name, receivers=receivers
                )["effect"]
            except ValueError:
                alone = np.zeros(2)
            np.testing.assert_allclose(own, alone, rtol=0, atol=1e-10)
        alone = path_patching(
            model, CLEAN, CORRUPT, target, senders=senders, receivers=receivers, max_batch=1
        )
        np.testing.assert_allclose(swept["effect"], alone["effect"], rtol=0, atol=1e-12)


def test_with_nothing_frozen_the_whole_input_makes_the_other_run():
    model = random_model()
    found = path_patching(model, CLEAN, CORRUPT, 0, senders="input", receivers="logits", freeze=())
    np.testing.assert_allclose(found["normalized"], 1, rtol=0, atol=1e-10)


def test_it_runs_under_the_hooks_that_are_there():
    model = random_model()
    target = model.target(0, minus=1)
    per_pair = Steer("blocks.1.hook_resid_mid", random_images(2).flatten(1)[:, None, :16])
    asked = {"senders": "heads", "receivers": ["L2H0<q>", "L2H3"]}
    with model.intervene([Ablate("L1H2", "zero"), per_pair]):
        found = path_patching(model, CLEAN, CORRUPT, target, **asked)["effect"]
        for name in ("L0H0", "L1H3"):
            reads = ["L2H0<q>", "L2H3<q>", "L2H3<k>", "L2H3<v>"]
            patched = four_passes(model, CORRUPT, CLEAN, target, [name], reads, ("heads",))
            with torch.no_grad():
                expected = patched - target(model(CORRUPT))
            own = found.sel(layer=int(name[1]), head=int(name[3]))
            np.testing.assert_allclose(own, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("readout", ["class token", "parallel, normed queries and keys"])
def test_a_path_and_an_edge_differ_where_an_mlp_mediates(readout):
    model = random_model(**READOUTS[readout])
    target = model.target(0, minus=1)

    def path(freeze):
        return path_patching(
            model, CLEAN, CORRUPT, target, senders="L0H1", receivers="logits", freeze=freeze
        )["effect"]

    edge = patch_edges(model, CLEAN, CORRUPT, target, edges=[("a0.h1", "logits")])
    np.testing.assert_allclose(path(("heads", "mlps")), edge["effect"][:, 0], rtol=0, atol=1e-10)
    assert abs(path("heads") - edge["effect"][:, 0]).max() > 1e-3


def test_a_path_and_an_edge_agree_where_there_are_no_mlps():
    model = random_model(**READOUTS["attention only, RMSNorm"])
    for receiver in ("a2.h1<q>", "a1.h0<k>", "logits"):
        asked = (model, CLEAN, CORRUPT, model.target(0, minus=1))
        path = path_patching(*asked, senders="L0H1", receivers=receiver)["effect"]
        edge = patch_edges(*asked, edges=[("a0.h1", receiver)])["effect"][:, 0]
        assert abs(edge).max() > 1e-6
        np.testing.assert_allclose(path, edge, rtol=0, atol=1e-10)
