"""A folder that another library wrote is loaded by its path alone."""

import json

import open_clip
import pytest
import safetensors.torch
import timm
import torch
import transformers

import vitreous as vt
from tests.laws._models import build
from tests.laws.test_spans import THREE
from vitreous.models import HookedCLIP, HookedViT
from vitreous.models.adapters import writer_of

NAMES = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu"]


def randomised(module):
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return module.eval()


@pytest.mark.parametrize("safe", [True, False])
def test_a_fine_tuned_model_of_timm_is_loaded_with_its_head_and_names(tmp_path, safe):
    source = randomised(timm.create_model("test_vit", num_classes=7, img_size=64))
    about = {"label_names": NAMES}
    timm.models.save_for_hf(source, tmp_path, model_config=about, safe_serialization=safe)
    model = vt.load(tmp_path)
    images = torch.randn(2, 3, 64, 64)
    assert torch.allclose(model(images), source(images), atol=1e-5)
    assert list(model.labels) == NAMES and model.cfg.image_shape == (64, 64)
    assert model.check(source=source).parity


def test_a_model_of_transformers_is_loaded(tmp_path):
    config = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=30,
        image_size=32, patch_size=8, num_labels=7, id2label=dict(enumerate(NAMES)),
    )  # fmt: skip
    source = randomised(transformers.ViTForImageClassification(config))
    source.save_pretrained(tmp_path)
    model = vt.load(tmp_path)
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(model(images), source(images).logits, atol=1e-5)
    assert list(model.labels) == NAMES


def test_a_model_of_open_clip_is_loaded(tmp_path):
    cfg = open_clip.get_model_config("ViT-B-32-quickgelu")
    cfg["vision_cfg"] |= {"layers": 1, "width": 64, "head_width": 32, "image_size": 64}
    cfg["text_cfg"] |= {"layers": 1, "width": 64, "heads": 2}
    cfg |= {"embed_dim": 16}
    source = randomised(open_clip.model.CLIP(**cfg))
    about = {"model_cfg": cfg, "preprocess_cfg": {"size": 64, "mean": [0, 0, 0], "std": [1, 1, 1]}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(about))
    safetensors.torch.save_file(source.state_dict(), tmp_path / "open_clip_model.safetensors")
    model = vt.load(tmp_path)
    assert isinstance(model, HookedCLIP) and isinstance(vt.load(tmp_path, tower="image"), HookedViT)
    images, tokens = torch.randn(2, 3, 64, 64), open_clip.tokenize(["a cat", "two dogs"])
    embedded, said, scale = source(images, tokens)
    assert torch.allclose(model(images, tokens), scale * embedded @ said.T, rtol=1e-4, atol=1e-4)
    report = model.check(source=source)
    assert report and report.same_scale
    assert "image tower" in str(report) and "text tower" in str(report)


def test_a_clip_with_another_scale_is_not_its_source():
    clip = randomised(
        open_clip.model.CLIP(
            16,
            {"layers": 1, "width": 64, "head_width": 32, "image_size": 64, "patch_size": 32},
            {"layers": 1, "width": 64, "heads": 2},
        )
    )
    model = vt.from_module(clip)
    assert model.check(source=clip)
    with torch.no_grad():
        model.logit_scale.add_(1e-3)
    report = model.check(source=clip)
    assert not report and report.image and report.text
    assert "scale and bias of the logits, here and in the source: DIFFER" in str(report)


def test_our_own_folder_is_nobody_else_s(tmp_path):
    build(THREE).save_pretrained(tmp_path)
    assert writer_of(tmp_path) is None
    assert isinstance(vt.load(tmp_path), HookedViT)
