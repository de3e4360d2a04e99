"""What weights say alone is what small changes do, with norms and patterns held."""

import numpy as np
import pytest
import torch

from tests.decomposition.zero_shot import NAMES, random_classifier
from tests.tiny import READOUTS, random_images, random_model
from vitreous.decomposition import (
    composition_scores,
    neuron_patches,
    neuron_reads,
    neuron_writes,
    ov_circuits,
    singular_directions,
)
from vitreous.models import AttentionConfig, NormConfig

KINDS = {
    "class token": {},
    "RMSNorm": {"norm": NormConfig("rms")},
    "LayerScale, ln_pre": {"layer_scale": True, "ln_pre": NormConfig()},
    "no norm at all": READOUTS["no norm at all"],
    "parallel": {"parallel": True},
    "gated, a norm of its own in front": {"mlp_gate": True, "mlp_in_norm": NormConfig()},
    "causal": {"attention": AttentionConfig(causal=True)},
    "norms behind attention and MLP": READOUTS["norms behind attention and MLP"],
}
STEP = 1e-3


def held(model, images, change, *, also=()):
    """The run with one change, all norm scales and patterns as they are without it."""
    _, cache = model.run_with_cache(images)
    names = [n for n in model.hook_names() if n.endswith(("hook_scale", "hook_pattern"))]
    hooks = [(name, lambda value, hook: cache[hook.name]) for name in names]
    _, changed = model.run_with_cache(images, fwd_hooks=[*hooks, change])
    return cache, changed


def unit_of(model, label):
    direction = model.target(label).direction.detach()
    return direction / direction.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_a_neuron_of_the_last_layer_says_what_one_unit_of_it_adds(kind):
    model, images = random_model(**KINDS[kind]), random_images()

    def raise_neuron(post, hook):
        post[..., 7] += STEP

    cache, changed = held(model, images, (("post", 2), raise_neuron))
    name = "hook_post_head_pre_normalize"
    added = (changed[name] - cache[name]) / STEP
    said = torch.from_numpy(neuron_writes(model).sel(layer=2, neuron=7).values)
    scale = cache["ln_final.hook_scale"] if model.ln_final is not None else torch.ones(2, 1, 1)
    scale = scale[:, 0]
    if model.cfg.out_norm is not None:
        scale = scale * cache["blocks.2.mlp.out_norm.hook_scale"][:, 0]
    torch.testing.assert_close(added.detach(), said / scale, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_neuron_reads_what_a_unit_of_a_class_adds_to_it(kind):
    model, images = random_model(**KINDS[kind]), random_images()

    def write_class(resid, hook):
        return resid + STEP * unit_of(model, 3)

    point = "resid_pre" if model.cfg.parallel else "resid_mid"
    cache, changed = held(model, images, ((point, 1), write_class))
    added = (changed["pre", 1] - cache["pre", 1]) / STEP
    read = torch.from_numpy(neuron_reads(model, layer=1).sel(layer=1)[:, 3].values)
    scale = torch.ones(2, 6 + model.cfg.n_prefix, 1, dtype=torch.float64)
    for name in ("ln1" if model.cfg.parallel else "ln2", "mlp.in_norm"):
        name = f"blocks.1.{name}.hook_scale"
        scale = scale * cache[name] if name in model.hook_dict else scale
    torch.testing.assert_close(added.detach(), read / scale, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kind", [name for name in KINDS if not name.startswith("norms behind")])
def test_a_head_raises_what_a_unit_of_a_class_adds_to_what_it_attends_to(kind):
    model, images = random_model(**KINDS[kind]), random_images()
    attn, norm = model.blocks[2].attn, model.blocks[2].ln1
    one = torch.ones(1, dtype=torch.float64)
    seen = unit_of(model, 1) if norm is None else norm.linear(unit_of(model, 1), one)

    def see_class(v, hook):
        """At every token; patterns add up to one."""
        v[:, :, 3] += STEP * (seen @ attn.W_V[3]).detach()

    cache, changed = held(model, images, (("v", 2), see_class))
    written = (changed["result", 2] - cache["result", 2])[:, 0, 3] / STEP
    raised = ov_circuits(model).sel(layer=2, head=3)[1].values
    for label in range(5):
        added = (written @ model.target(label).direction).detach().numpy()
        np.testing.assert_allclose(added, [raised[label]] * 2, rtol=1e-8, atol=1e-9)


def test_a_patch_excites_a_neuron_of_the_first_layer_as_its_weights_say():
    model = random_model(d_mlp=20, patch_norm=NormConfig(), ln_pre=NormConfig())
    images = random_images()
    bump = torch.zeros(3, 4, 4, dtype=torch.float64)
    bump[2, 1, 3] = STEP

    def patch_changed(embedded, hook):
        """Row 1, column 0 of the grid, with `bump` added to its pixels."""
        embedded[:, 2] += (bump.flatten() @ model.W_E).detach()

    _, cache = model.run_with_cache(images)

    def hold_attention(out, hook):
        return cache[hook.name]

    names = [n for n in model.hook_names() if n.endswith("hook_scale")]
    hooks = [(name, lambda value, hook: cache[hook.name]) for name in names]
    hooks += [("blocks.0.hook_attn_out", hold_attention)]
    hooks += [("embedding.hook_patches", patch_changed)]
    _, changed = model.run_with_cache(images, fwd_hooks=hooks)
    added = (changed["pre", 0] - cache["pre", 0])[:, 3] / STEP
    read = torch.from_numpy(neuron_patches(model).sel(layer=0)[:, 2, 1, 3].values)
    scale = cache["embedding.patch_norm.hook_scale"][:, 2] * cache["ln_pre.hook_scale"][:, 3]
    scale = scale * cache["blocks.0.ln2.hook_scale"][:, 3]
    torch.testing.assert_close(added.detach(), read / scale, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kind", ["class token", "LayerScale, ln_pre", "no norm at all"])
def test_singular_directions_add_up_to_the_circuit(kind):
    model = random_model(**KINDS[kind])
    found = singular_directions(model, 1, 2)
    assert found.sizes["component"] == 4 and (found["singular_value"].diff("component") < 0).all()
    again = np.einsum("k,ks,kl->sl", found["singular_value"], found["left"], found["right"])
    np.testing.assert_allclose(again, ov_circuits(model).sel(layer=1, head=2), atol=1e-11)


def test_singular_directions_of_queries_and_keys_add_up_to_scores():
    model = random_model()
    found = singular_directions(model, 0, 1, "QK")
    again = np.einsum("k,ks,kl->sl", found["singular_value"], found["left"], found["right"])
    norm, attn = model.blocks[0].ln1, model.blocks[0].attn
    seen = torch.stack([norm.linear(unit_of(model, k), torch.ones(1)) for k in range(5)])
    scores = (seen @ attn.W_Q[1]) @ (seen @ attn.W_K[1]).T
    np.testing.assert_allclose(again, scores.detach(), atol=1e-11)
    strongest = np.abs(found["right"].values).argmax(1)
    assert (found["right"].values[range(4), strongest] > 0).all()


def test_texts_take_the_place_of_classes():
    classifier = random_classifier()
    writes = neuron_writes(classifier)
    assert writes["label"].values.tolist() == list(NAMES)
    bank = neuron_writes(classifier.image, bank=classifier.weights, texts=NAMES)
    np.testing.assert_array_equal(writes, bank)
    of_outputs = neuron_writes(classifier.image).values
    np.testing.assert_allclose(writes, of_outputs @ classifier.weights.T.numpy(), atol=1e-12)
    assert ov_circuits(classifier, layer=-1).shape == (1, 4, 4, 4)
    assert neuron_reads(classifier, layer=0).sizes["label"] == 4


def folded(model, layer, letter):
    norm, weight = model.blocks[layer].ln1, getattr(model.blocks[layer].attn, f"W_{letter}")
    center = torch.eye(16) - 1 / 16 if norm.centers else torch.eye(16)
    return center.double() @ torch.diag(norm.w) @ weight


@pytest.mark.parametrize("kind", ["Q", "K", "V"])
@pytest.mark.parametrize("of", ["class token", "RMSNorm", "LayerScale, ln_pre"])
def test_composition_scores_are_norms_of_products(kind, of):
    model = random_model(**KINDS[of])
    scores = composition_scores(model, kind)
    for (first, a), (later, b) in [((0, 1), (1, 3)), ((0, 2), (2, 0)), ((1, 0), (2, 2))]:
        writes = folded(model, first, "V")[a] @ model.blocks[first].attn.W_O[a]
        Q, K, V = (folded(model, later, letter)[b] for letter in "QKV")
        R = {"Q": Q @ K.T, "K": K @ Q.T, "V": V @ model.blocks[later].attn.W_O[b]}[kind]
        expected = ((writes @ R).norm() / writes.norm() / R.norm()).item()
        found = scores.sel(layer_from=first, head_from=a, layer=later, head=b).item()
        assert found == pytest.approx(expected, rel=1e-9)
    assert scores.isel(layer=0).isnull().all() and scores.isel(layer_from=2).isnull().all()


def test_the_baseline_is_what_turned_streams_compose():
    scores = composition_scores(random_model())
    generator = torch.Generator().manual_seed(3)
    X, Y = (torch.randn(16, 16, generator=generator).double() for _ in range(2))
    X[:, 3:], Y[2:] = 0, 0
    turns = [
        torch.linalg.qr(torch.randn(16, 16, generator=generator).double())[0] for _ in range(3000)
    ]
    squares = [(X @ turn @ Y).norm().square() for turn in turns]
    ratio = (sum(squares) / len(squares)).sqrt() / X.norm() / Y.norm()
    assert ratio.item() == pytest.approx(scores.attrs["baseline"], rel=0.03)


def test_a_planted_pair_of_heads_composes_alone():
    model = random_model(norm=None, n_layers=2)
    with torch.no_grad():
        for parameter in model.blocks.parameters():
            parameter.mul_(0.01)
        model.blocks[0].attn.W_O[1, :, 5] += 1
        model.blocks[1].attn.W_V[2, 5, :] += 1
    scores = composition_scores(model)[0, :, 1]
    assert scores.sel(head_from=1, head=2) > 0.9
    assert np.partition(scores.values.ravel(), -2)[-2] < 0.7


def test_models_without_fixed_matrices_say_why():
    normed = random_model(**READOUTS["parallel, normed queries and keys"])
    with pytest.raises(ValueError, match="normalizes queries and keys"):
        composition_scores(normed, "Q")
    assert composition_scores(normed, "V").notnull().any()
    rotary = random_model(**READOUTS["a turn per layer and head, in halves"])
    with pytest.raises(ValueError, match="turns queries and keys"):
        singular_directions(rotary, 0, 0, "QK")
    behind = random_model(**READOUTS["norms behind attention and MLP"])
    with pytest.raises(ValueError, match="needs an output that is linear"):
        ov_circuits(behind)
    pooled = random_model(**READOUTS["attention pooling"])
    with pytest.raises(ValueError, match="a model that pools by attention"):
        neuron_writes(pooled)


def test_half_precision_is_read_in_float32():
    model = random_model().to(torch.bfloat16)
    assert neuron_writes(model).dtype == np.float32
    assert ov_circuits(model).dtype == np.float32
