"""Equality with torchvision's vision transformers, value by value."""

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torchvision.models import vision_transformer
from torchvision.models.vision_transformer import ConvStemConfig, VisionTransformer

import vitreous as vt
from tests.parity.distances import distance, distances, too_far
from tests.parity.test_timm import randomize

SMALL = {
    "image_size": 64, "patch_size": 16, "num_layers": 2, "num_heads": 3, "hidden_dim": 36,
    "mlp_dim": 72, "num_classes": 7,
}  # fmt: skip
STEM = [ConvStemConfig(8, 3, 4), ConvStemConfig(12, 3, 4)]


def random_vit(**changes) -> VisionTransformer:
    torch.manual_seed(0)
    return randomized(VisionTransformer(**(SMALL | changes)))


@torch.no_grad()
def randomized(vit: nn.Module) -> nn.Module:
    randomize(vit.double().eval())
    for part in vit.modules():
        if isinstance(part, nn.LayerNorm | nn.BatchNorm2d):
            part.weight.add_(1)
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return vit


def headless() -> VisionTransformer:
    vit = random_vit()
    vit.heads = nn.Identity()
    return vit


def finetuned() -> VisionTransformer:
    vit = random_vit()
    vit.heads = nn.Linear(36, 4)
    return randomized(vit)


MODULES = {
    "plain": random_vit,
    "a stem of convolutions": lambda: random_vit(conv_stem_configs=STEM),
    "dropouts": lambda: random_vit(dropout=0.5, attention_dropout=0.5),
    "no head": headless,
    "a head of its own": finetuned,
}


def seen_inside(vit: VisionTransformer, images: Tensor) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}
    handles = []

    def tap(part: nn.Module, name: str, end: str = "output") -> None:
        def note(_part: nn.Module, inputs: tuple, output: Tensor) -> None:
            seen[name] = (inputs[0] if end == "input" else output).detach().clone()

        handles.append(part.register_forward_hook(note))

    tap(vit.encoder.dropout, "hook_full_embed")
    for layer, block in enumerate(vit.encoder.layers):
        at = f"blocks.{layer}."
        tap(block, f"{at}hook_resid_pre", "input")
        tap(block.ln_1, f"{at}ln1.hook_normalized")
        tap(block.dropout, f"{at}hook_attn_out")
        tap(block.ln_2, f"{at}hook_resid_mid", "input")
        tap(block.mlp[0], f"{at}mlp.hook_pre")
        tap(block.mlp[1], f"{at}mlp.hook_post")
        tap(block.mlp, f"{at}hook_mlp_out")
        tap(block, f"{at}hook_resid_post")
    tap(vit.encoder.ln, "hook_ln_final")
    with torch.no_grad():
        seen["hook_post_head_pre_normalize"] = vit(images)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_logits_and_all_values_inside_equal_torchvision_in_float64(make):
    vit = make()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    model = vt.from_module(vit)
    assert too_far(distances(model, images, seen_inside(vit, images))) == {}
    assert model.check()


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_float32_is_no_further_from_the_truth_than_twice_torchvision(make):
    vit = make().float()  # rounds the weights, so that they are no error
    images = torch.randn(2, 3, 64, 64)
    theirs, model = seen_inside(vit, images), vt.from_module(vit)
    truth = seen_inside(vit.double(), images.double())
    allowed = {name: 2 * distance(value, truth[name]) for name, value in theirs.items()}
    allowed["output"] = allowed["hook_post_head_pre_normalize"]
    ours = distances(model, images, truth)
    assert {name: far for name, far in ours.items() if not far <= allowed[name]} == {}


# ---- names, files, images


def small_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has `vit_b_16` build a small model, whatever weights it is for."""
    whole = vision_transformer._vision_transformer

    def small(**keywords) -> VisionTransformer:
        keywords |= {"num_layers": 2, "num_heads": 3, "hidden_dim": 36, "mlp_dim": 72}
        return whole(**keywords)

    monkeypatch.setattr(vision_transformer, "_vision_transformer", small)


def test_a_file_of_weights_says_its_classes_and_image_size(monkeypatch, tmp_path):
    small_builder(monkeypatch)
    vit = random_vit().float()
    safetensors.torch.save_file(vit.state_dict(), tmp_path / "mine.safetensors")
    model = vt.load("torchvision:vit_b_16", weights=tmp_path / "mine.safetensors")
    images = torch.randn(2, 3, 64, 64)
    assert distance(model(images), vit(images).detach()) < 1e-5
    assert (model.preprocessing, model.labels) == (None, None)
    assert model.card["source"].endswith("mine.safetensors")


def test_a_file_of_an_older_torchvision_loads(monkeypatch, tmp_path):
    small_builder(monkeypatch)
    vit = random_vit().float()
    old = {
        name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor
        for name, tensor in vit.state_dict().items()
    }
    torch.save(old, tmp_path / "old.pth")
    model = vt.load("torchvision:vit_b_16", weights=tmp_path / "old.pth")
    images = torch.randn(2, 3, 64, 64)
    assert distance(model(images), vit(images).detach()) < 1e-5


def test_weights_in_the_cache_bring_their_classes_and_images(monkeypatch, tmp_path):
    small_builder(monkeypatch)
    vit = random_vit(image_size=224, num_classes=1000).float()
    weights = torchvision.models.ViT_B_16_Weights.IMAGENET1K_V1
    torch.save(vit.state_dict(), tmp_path / weights.url.rpartition("/")[2])
    for name in ("vit_b_16", "vit_b_16/IMAGENET1K_V1"):
        model = vt.load(f"torchvision:{name}", cache_dir=tmp_path, local_files_only=True)
        images = torch.randn(2, 3, 224, 224)
        assert distance(model(images), vit(images).detach()) < 1e-5
        assert model.labels[1] == "goldfish" and model.preprocessing.crop_fraction == 0.875


def test_another_image_size_resamples_positions_as_torchvision_does(monkeypatch, tmp_path):
    small_builder(monkeypatch)
    vit = random_vit().float()
    torch.save({"state_dict": vit.state_dict()}, tmp_path / "mine.pth")
    model = vt.load("torchvision:vit_b_16", weights=tmp_path / "mine.pth", image_size=96)
    larger = VisionTransformer(**(SMALL | {"image_size": 96})).eval()
    state = vision_transformer.interpolate_embeddings(96, 16, vit.state_dict())
    larger.load_state_dict(state)
    images = torch.randn(2, 3, 96, 96)
    assert distance(model(images), larger(images).detach()) < 1e-5


EVERY_WEIGHTS = [
    weights
    for name in torchvision.models.list_models(module=torchvision.models, include="vit_*")
    for weights in torchvision.models.get_model_weights(name)
]


@pytest.mark.parametrize("weights", EVERY_WEIGHTS, ids=str)
def test_images_and_classes_are_those_of_the_weights(weights, tmp_path):
    transform = weights.transforms()
    side = transform.crop_size[0]
    patch = 14 if side % 16 else 16
    vit = random_vit(image_size=side, patch_size=patch, num_classes=1000, num_layers=1)
    model = vt.from_module(vit.float(), weights)
    assert tuple(model.labels) == tuple(weights.meta["categories"])
    for width, height in ((700, 541), (541, 700), (33, 40)):
        levels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
        file = tmp_path / f"{width}.png"
        Image.fromarray(levels).save(file)
        expected = transform(Image.open(file))
        torch.testing.assert_close(model.preprocess(file)[0], expected, rtol=0, atol=1e-6)
    assert vt.from_module(vit, transform).preprocessing == model.preprocessing
