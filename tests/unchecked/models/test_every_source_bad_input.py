"""The same bad input for every source of models: each gets one line with the way out."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
import pytest
import safetensors.torch
import timm
import torch
import torchvision
import transformers
from huggingface_hub import errors
from torch import Tensor
from torchvision.models.vision_transformer import VisionTransformer

import vitreous as vt
from tests.parity.transformers_models import random_model
from vitreous._errors import UnknownNameError, UnsupportedModelError, WeightsError
from vitreous.models.adapters import (
    _open_clip_source,
    _timm_download,
    _torchvision,
    _transformers_files,
)

SMALL = {"image_size": 32, "patch_size": 16, "num_layers": 1, "num_heads": 2}
VISION = {"layers": 1, "width": 48, "head_width": 16, "patch_size": 16, "image_size": 64}


def message(expected: type[Exception], name: str, **how: Any) -> str:
    with pytest.raises(expected) as error:
        vt.load(name, **how)
    assert "\n" not in str(error.value)
    return str(error.value)


@functools.cache
def modules() -> dict[str, Any]:
    return {
        "timm:test_vit": timm.create_model("test_vit"),
        "hf:": random_model("vit classifier").float(),
        "open_clip:ViT-B-32": open_clip.model._build_vision_tower(
            48, open_clip.CLIPVisionCfg(**VISION)
        ),
        "torchvision:vit_b_16": small_vit("vit_b_16"),
    }


def small_vit(_name: str, weights: Any = None, **changes: Any) -> VisionTransformer:
    return VisionTransformer(**SMALL | {"hidden_dim": 16, "mlp_dim": 16} | changes)


@pytest.fixture
def sources(monkeypatch, tmp_path) -> dict[str, tuple[str, dict[str, Tensor]]]:
    """A small model of each library, by name, and its weights."""
    config = {"embed_dim": 48, "vision_cfg": VISION, "text_cfg": {}}
    monkeypatch.setattr(open_clip, "get_model_config", lambda _: config)
    monkeypatch.setattr(torchvision.models, "get_model", small_vit)
    folder = tmp_path / "hf"
    modules()["hf:"].save_pretrained(folder)
    named = {name + str(folder) * (name == "hf:"): module for name, module in modules().items()}
    return {name: (name, dict(module.state_dict())) for name, module in named.items()}


@pytest.fixture(params=["timm", "hf", "open_clip", "torchvision"])
def source(request, sources) -> tuple[str, dict[str, Tensor]]:
    return next(x for name, x in sources.items() if name.startswith(request.param))


def written(tensors: dict[str, Tensor], folder: Path) -> Path:
    path = folder / "w.safetensors"
    safetensors.torch.save_file({k: x.contiguous() for k, x in tensors.items()}, path)
    return path


# ---- files


def test_the_whole_file_loads(source, tmp_path):
    name, tensors = source
    assert vt.load(name, weights=written(tensors, tmp_path)).card["name"] == name


def test_a_truncated_file_is_refused(source, tmp_path):
    name, tensors = source
    path = written(tensors, tmp_path)
    path.write_bytes(path.read_bytes()[:-99])
    assert "`w.safetensors` must be a whole safetensors file" in message(
        WeightsError, name, weights=path
    )


class Harm:
    def __reduce__(self):
        return print, ("harm",)


def test_a_pickle_that_would_run_code_is_refused(source, tmp_path, capsys):
    name, tensors = source
    torch.save(tensors | {"epoch": Harm()}, tmp_path / "w.pt")
    text = message(WeightsError, name, weights=tmp_path / "w.pt")
    assert "may run code" in text or "must be a .safetensors file" in text
    assert "harm" not in capsys.readouterr().out


def test_a_wrong_name_is_listed_with_the_nearest(source, tmp_path):
    name, tensors = source
    old = next(k for k in tensors if k.endswith("weight") and re.search(r"\D0\D", k))
    wrong = old.replace("weight", "wieght")
    tensors = {wrong if k == old else k: x for k, x in tensors.items()}
    text = message(WeightsError, name, weights=written(tensors, tmp_path))
    assert f"1 missing, first `{old}` (nearest there: {wrong}) and 1 unknown" in text


def test_weights_of_another_shape_are_named(source, tmp_path):
    name, tensors = source
    old = next(k for k in tensors if k.endswith("weight") and re.search(r"\D0\D", k))
    tensors[old] = torch.zeros(3)
    text = message(WeightsError, name, weights=written(tensors, tmp_path))
    assert f"`{old}` in `" in text and "got [3]" in text


def test_a_file_of_mixed_dtypes_becomes_of_one(source, tmp_path):
    name, tensors = source
    mixed = {k: x.half() if i % 2 else x for i, (k, x) in enumerate(tensors.items())}
    model = vt.load(name, weights=written(mixed, tmp_path))
    assert {p.dtype for p in model.parameters()} == {torch.float32}


# ---- no network, and a gate


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    for adapter in (_open_clip_source, _timm_download, _torchvision, _transformers_files):
        monkeypatch.setattr(adapter, "answers", lambda url: False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


NAMES = [
    "timm:vit_tiny_patch16_224",
    "timm:vit_huge_patch14_gap_224.in1k_ijepa",
    "hf:google/vit-base-patch16-224",
    "open_clip:ViT-B-32-quickgelu/openai",
    "open_clip:ViT-B-32/laion2b_s34b_b79k",
    "open_clip:hf-hub:laion/CLIP",
    "torchvision:vit_b_16",
]


@pytest.mark.parametrize("name", NAMES)
def test_without_a_network_weights_and_the_cache_are_named(name, no_network, tmp_path):
    text = message(WeightsError, name, cache_dir=tmp_path)
    assert f"`{name}` must be downloaded once" in text.replace("`google", "`hf:google")
    assert "can't be reached, and it isn't in the cache" in text
    assert f"cache `{tmp_path}`" in text and "weights=" in text
    assert text.endswith("or connect to the network.")


@pytest.mark.parametrize("name", NAMES[::3])
def test_with_local_files_only_the_same_is_said(name, no_network, tmp_path):
    text = message(WeightsError, name, cache_dir=tmp_path, local_files_only=True)
    assert "reached" not in text and f"cache `{tmp_path}`" in text


def gated(*_: Any, **__: Any) -> None:
    error = errors.GatedRepoError.__new__(errors.GatedRepoError)
    Exception.__init__(error, "403\nlines")
    raise error


def wrapped(*_: Any, **__: Any) -> None:
    """As open_clip hides what the hub says."""
    try:
        gated()
    except Exception as error:
        raise FileNotFoundError(f"Failed to download. Last error: {error}")  # noqa: B904


def gated_timm(create: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *names, pretrained=False, **how: gated() if pretrained else create(*names, **how)


@pytest.mark.parametrize(
    "name",
    ["timm:test_vit", "hf:a/b", "open_clip:hf-hub:a/b", "open_clip:ViT-B-32/laion2b_s34b_b79k"],
)
def test_a_gated_repository_says_where_to_accept_its_terms(name, monkeypatch, tmp_path):
    for adapter in (_open_clip_source, _timm_download, _transformers_files):
        monkeypatch.setattr(adapter, "answers", lambda url: True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", gated)
    monkeypatch.setattr(open_clip.pretrained, "download_pretrained_from_hf", wrapped)
    monkeypatch.setattr(open_clip, "download_pretrained", wrapped)
    monkeypatch.setattr(timm, "create_model", gated_timm(timm.create_model))
    text = message(WeightsError, name, cache_dir=tmp_path)
    assert "must be open to you; it is gated. Accept its terms at https://huggingface.co/" in text
    assert "hf auth login" in text and ("weights=" in text)


# ---- other architectures, other names


@pytest.mark.parametrize(
    "name",
    [
        "timm:swin_tiny_patch4_window7_224",
        "timm:convnext_tiny",
        "torchvision:swin_t",
        "torchvision:convnext_tiny",
    ],
)
def test_swin_and_convnext_are_pointed_to_wrap(name):
    assert "vt.wrap" in message(UnsupportedModelError, name, weights="missing.pt")


def test_modules_of_swin_and_convnext_are_pointed_to_wrap():
    swin = transformers.SwinConfig(embed_dim=8, depths=[1], num_heads=[2], image_size=32)
    convnext = transformers.ConvNextConfig(hidden_sizes=[8], depths=[1], num_stages=1)
    modules = [
        timm.create_model("swin_tiny_patch4_window7_224", depths=[1], num_heads=[1], embed_dim=8),
        timm.create_model("convnext_atto"),
        transformers.SwinModel(swin),
        transformers.ConvNextModel(convnext),
        torchvision.models.swin_t(),
        torchvision.models.convnext_tiny(),
    ]
    for module in modules:
        with pytest.raises(UnsupportedModelError, match=r"vt\.wrap\(module\)"):
            vt.from_module(module)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("timm:vit_tiny_patch16_242", "vit_tiny_patch16_224"),
        ("open_clip:ViT-B-23/openai", "ViT-B-32"),
        ("torchvision:vit_b_61", "vit_b_16"),
        ("digts", "digits"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, near):
    assert re.search(f"Nearest: .*{near}", message(UnknownNameError, name))


def test_an_image_of_another_size_gets_the_size_and_the_ways_out(sources):
    for name, state in sources.values():
        if name.startswith("timm:"):  # this one resamples its positions
            continue
        model = vt.from_state_dict(name, state)
        rows, columns = model.cfg.image_shape
        with pytest.raises(ValueError, match=f"must be {rows} x {columns} pixels .* got 48 x 48"):
            model(torch.zeros(1, 3, 48, 48))
