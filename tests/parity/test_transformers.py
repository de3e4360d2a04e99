"""Equality with transformers under its fused attention, value by value."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import transformers
from torch import Tensor, nn

import vitreous as vt
from tests.parity.distances import distance, distances, too_far
from tests.parity.timm_models import residuals
from tests.parity.transformers_models import (
    CASES,
    DINO,
    VIT,
    layers_of,
    random_images,
    random_model,
    random_of,
    readout,
    seen_inside,
)

every_case = pytest.mark.parametrize("case", CASES)


@every_case
def test_logits_and_all_values_inside_equal_transformers_in_float64(case):
    module = random_model(case)
    images = random_images(module)
    model = vt.from_module(module, tower="image")
    assert too_far(distances(model, images, seen_inside(module, images))) == {}


@pytest.mark.parametrize(
    "case",
    ["vit classifier", "deit with teacher", "dinov2 classifier", "dinov3, gated", "beit", "clip"],
)
def test_the_identities_of_the_residual_stream_hold(case):
    assert vt.from_module(random_model(case)).check()


@every_case
def test_float32_is_no_further_from_the_truth_than_twice_transformers(case):
    module = random_model(case).float()
    images = random_images(module)
    theirs = seen_inside(module, images)
    model = vt.from_module(module, tower="image")
    truth = seen_inside(module.double(), images.double())
    allowed = {name: 2 * distance(value, truth[name]) for name, value in theirs.items()}
    allowed["output"] = allowed["hook_post_head_pre_normalize"]
    ours = distances(model, images, truth)
    assert {name: far for name, far in ours.items() if not far <= allowed[name]} == {}


# ---- ViT-MAE, which hides patches and puts the others in the order of a noise


@torch.no_grad()
def mae_run(mask_ratio: float) -> tuple[Any, Tensor, Tensor, dict[str, Tensor]]:
    module = random_model("mae")
    module.config.mask_ratio = mask_ratio
    images, noise = random_images(module), torch.rand(2, 16)
    seen = residuals(lambda: module(images, noise=noise).last_hidden_state, layers_of(module))
    return module, images, noise, seen


def test_mae_with_any_noise_is_ours_in_another_order():
    module, images, noise, seen = mae_run(0.0)
    _, cache = vt.from_module(module).run_with_cache(images)
    place = noise.argsort(1).argsort(1) + 1  # where the source has each patch
    order = torch.cat([torch.zeros(2, 1, dtype=torch.long), place], 1)[..., None].expand(-1, -1, 24)
    tokens = cache["hook_ln_final"]
    assert distance(tokens, seen.pop("logits").gather(1, order)) <= 1e-10
    assert len(seen) == 2
    for name, stream in seen.items():
        assert distance(cache[name], stream.gather(1, order)) <= 1e-10


def test_mae_that_hides_patches_is_ours_on_the_stream_of_the_others():
    module, images, noise, seen = mae_run(0.75)
    model = vt.from_module(module)
    kept = torch.cat([torch.zeros(2, 1, dtype=torch.long), noise.argsort(1)[:, :4] + 1], 1)
    with torch.no_grad():
        stream = model.embed(images).gather(1, kept[..., None].expand(-1, -1, 24))
        read, cache = model.run_with_cache(stream, start_at_layer=0)
    truth = seen.pop("logits")
    assert distance(read, truth[:, 0]) <= 1e-10
    assert too_far({name: distance(cache[name], value) for name, value in seen.items()}) == {}


# ---- what is in a module


def test_a_head_of_another_size_that_was_put_in_converts():
    module = random_model("vit classifier")
    module.classifier = nn.Linear(24, 11, bias=False)
    images = random_images(random_of(module))
    assert too_far(distances(vt.from_module(module), images, seen_inside(module, images))) == {}


def test_a_model_whose_last_layers_were_cut_off_converts():
    module = random_model("dinov2")
    module.encoder.layer = module.encoder.layer[:1]
    images = random_images(module)
    model = vt.from_module(module)
    assert model.cfg.n_layers == 1
    assert too_far(distances(model, images, seen_inside(module, images))) == {}


def test_a_model_that_has_noted_its_hidden_states_converts():
    module = random_model("vit")
    images = random_images(module)
    module(images, output_hidden_states=True, output_attentions=False)  # leaves hooks behind
    assert distance(vt.from_module(module)(images), readout(module, images)) <= 1e-10


def test_bfloat16_keeps_gains_apart_and_comes_close():
    module = random_model("dinov3").bfloat16()
    images = random_images(module)
    model = vt.from_module(module)
    assert model.cfg.layer_scale
    assert model.placement.dtype == torch.bfloat16
    truth = readout(module.double(), images.double())
    assert distance(model(images), truth) <= 2 * distance(readout(module.bfloat16(), images), truth)


def test_a_change_of_any_one_weight_is_noticed():
    module = random_model("beit, both biases")
    images = random_images(module)
    truth, model = readout(module, images), vt.from_module(module)
    unnoticed = []
    for name, parameter in model.named_parameters():
        value = parameter.detach().clone()
        with torch.no_grad():
            parameter.view(-1)[0] += 1e-4
            unnoticed += [] if distance(model(images), truth) > 1e-10 else [name]
            parameter.copy_(value)
    assert unnoticed == []


class Doubled(transformers.ViTModel):
    """Computes something else."""


def changed(change: Callable[[Any], object], case: str = "vit") -> Any:
    module = random_model(case)
    change(module)
    return module


def hook(*_: object) -> None:
    pass


REFUSED = {
    "must be one of .* and no subclass; got a `Doubled`": lambda: Doubled(
        transformers.ViTConfig(**VIT)
    ),
    "`hidden_act` must be one of .* got 'mish'": lambda: transformers.ViTModel(
        transformers.ViTConfig(**VIT, hidden_act="mish")
    ),
    "An activation must be the config's .* `ReLU` at `layers.1.mlp": lambda: changed(
        lambda m: setattr(m.layers[1].mlp, "activation_fn", nn.ReLU())
    ),
    "Norms must have the config's": lambda: changed(
        lambda m: setattr(m.layers[0].layernorm_before, "eps", 1.0)
    ),
    "must be of transformers' own classes; got a `Doubled` at `pooler`": lambda: changed(
        lambda m: setattr(m, "pooler", Doubled(m.config))
    ),
    "no forward hooks .* got one on `layers.0`": lambda: changed(
        lambda m: m.layers[0].register_forward_hook(hook)
    ),
    "Each weight must be one that `HookedViT` has; got `classifier.0.weight`": lambda: changed(
        lambda m: setattr(m, "classifier", nn.Sequential(nn.Linear(24, 5).double())),
        "vit classifier",
    ),
    "must have one dtype": lambda: changed(lambda m: m.layers[0].half()),
    "Images must be square": lambda: transformers.Dinov2Model(
        transformers.Dinov2Config(**DINO | {"image_size": (16, 32)})
    ),
}


@pytest.mark.parametrize(("words", "make"), REFUSED.items(), ids=REFUSED)
def test_what_would_compute_something_else_is_refused(words, make):
    with pytest.raises(vt.UnsupportedModelError, match=words) as caught:
        vt.from_module(make())
    assert "\n" not in str(caught.value)


# ---- the same weights by another route

TIMM = {
    "layers.": "blocks.",
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "attention.o_proj": "attn.proj",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "layernorm": "norm",
    "classifier": "head",
}


def test_the_same_weights_through_timm_give_the_same_model():
    module = random_model("vit classifier")
    tensors: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        for theirs, timms in TIMM.items():
            name = name.removeprefix("vit.").replace(theirs, timms)
        tensors[name] = tensor
    for layer in range(2):
        for leaf in ("weight", "bias"):
            parts = [tensors.pop(f"blocks.{layer}.attention.{x}_proj.{leaf}") for x in "qkv"]
            tensors[f"blocks.{layer}.attn.qkv.{leaf}"] = torch.cat(parts)
    vit = timm.models.VisionTransformer(
        32, 8, embed_dim=24, depth=2, num_heads=3, mlp_ratio=40 / 24, num_classes=5
    ).double()
    vit.load_state_dict(tensors)
    ours, other = vt.from_module(module), vt.from_module(vit)
    assert ours.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(t, other.state_dict()[name]) for name, t in ours.state_dict().items())
