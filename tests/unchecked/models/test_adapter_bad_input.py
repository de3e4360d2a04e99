"""What a model of open_clip's, torchvision's or Prisma's that can't be had gets: one line."""

import json

import open_clip
import pytest
import safetensors.torch
import torch
import torchvision
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer

import vitreous as vt
from tests.parity.test_open_clip import random_tower
from tests.parity.test_prisma import HOOKED, first_config, first_weights, hooked_weights, write
from vitreous._errors import UnknownNameError, UnsupportedModelError, WeightsError
from vitreous.models.adapters import _open_clip_source, _torchvision


def message(expected: type[Exception], call, *arguments, **keywords) -> str:
    with pytest.raises(expected) as error:
        call(*arguments, **keywords)
    assert "\n" not in str(error.value)
    return str(error.value)


VISION = {"layers": 1, "width": 48, "head_width": 16, "patch_size": 16, "image_size": 64}
TEXT = {"width": 16, "heads": 2, "layers": 1, "vocab_size": 9, "context_length": 4}


@pytest.fixture
def no_network(monkeypatch):
    for adapter in (_open_clip_source, _torchvision):
        monkeypatch.setattr(adapter, "answers", lambda url: False)


# ---- open_clip


@pytest.mark.parametrize(
    ("changes", "feature"),
    [
        ({"scaled_cosine_attn": True}, "scaled cosine attention"),
        ({"scale_attn": True}, "a norm at `transformer.resblocks.0.ln_attn`"),
        ({"attentional_pool": True, "pool_type": "avg"}, "`pool_type='avg'`"),
        ({"attentional_pool": "cascade"}, "`attn_pool_contrastive`"),
    ],
    ids=str,
)
def test_a_tower_with_a_part_that_is_missing_here_names_it(changes, feature):
    text = message(UnsupportedModelError, vt.from_module, random_tower(changes))
    assert feature in text and "vt.wrap" in text


def test_a_whole_model_with_a_tower_that_is_no_vit_offers_the_other():
    clip = open_clip.CLIP(8, VISION | {"layers": [1, 1, 1, 1], "width": 16}, TEXT)
    text = message(UnsupportedModelError, vt.from_module, clip)
    assert "a `ModifiedResNet`" in text and "For the text tower alone: `tower='text'`." in text
    assert vt.from_module(clip, tower="text").cfg.vocab_size == 9


def test_a_tower_that_there_is_not_is_refused():
    clip = open_clip.CLIP(8, VISION, TEXT)
    text = message(ValueError, vt.from_module, clip.visual, tower="text")
    assert "`tower` must be one that the model has; got 'text' for a HookedViT" in text
    assert "got tower='both'" in message(ValueError, vt.load, "timm:vit_tiny", tower="both")
    named = "open_clip:ViT-B-32"
    text = message(ValueError, vt.load, named, tower="text", image_size=8, weights="none.pt")
    assert "`image_size` must be left out for a text tower" in text


def test_a_text_tower_of_hugging_face_is_named_and_the_image_tower_offered(no_network):
    text = message(UnsupportedModelError, vt.load, "open_clip:roberta-ViT-B-32/laion2b_s12b_b32k")
    assert "got one of Hugging Face's, `roberta-base`" in text
    assert "For the image tower alone: `tower='image'`." in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tower: tower.attn_mask.zero_(), "must hide what comes later"),
        (lambda tower: setattr(tower.token_embedding, "max_norm", 1.0), "got a `max_norm`"),
        (lambda tower: setattr(tower, "_embeds", None), "another `_embeds` on the model"),
        (lambda tower: setattr(tower, "ln_final", nn.Identity()), "`ln_final` must be a"),
    ],
)
def test_a_text_tower_that_was_changed_is_refused(change, words):
    tower = open_clip.model._build_text_tower(8, open_clip.CLIPTextCfg(**TEXT))
    change(tower)
    assert words in message(UnsupportedModelError, vt.from_module, tower)


def test_a_tokenizer_of_a_larger_vocabulary_is_refused():
    clip = open_clip.CLIP(8, VISION, TEXT)
    text = message(ValueError, vt.from_module, clip, open_clip.SimpleTokenizer())
    assert "must give ids of the model's 9 tokens; got one with 49408" in text


def test_a_whole_file_without_a_scale_is_refused(tmp_path):
    clip = open_clip.CLIP(8, VISION, TEXT)
    about = {"model_cfg": {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": TEXT}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(about))
    tensors = {name: x for name, x in clip.state_dict().items() if name != "logit_scale"}
    torch.save(tensors, tmp_path / "model.pt")
    name, file = f"open_clip:local-dir:{tmp_path}", tmp_path / "model.pt"
    with pytest.warns(UserWarning, match="The tokenizer of local-dir:.* can't be had"):
        text = message(WeightsError, vt.load, name, weights=file)
    assert "must hold `logit_scale`" in text


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("RN50", "a `ModifiedResNet`"),
        ("convnext_tiny", "a `ConvNeXt`"),
        ("MobileCLIP-S1", "FastVit"),
    ],
)
def test_towers_that_are_no_vits_say_to_use_wrap(name, what, no_network):
    text = message(UnsupportedModelError, vt.load, f"open_clip:{name}", weights="missing.pt")
    assert what in text and "vt.wrap" in text


def test_a_projection_by_an_mlp_is_named():
    vision = open_clip.CLIPVisionCfg(
        timm_model_name="vit_tiny_patch16_224", timm_pool="token", timm_proj="mlp"
    )
    tower = open_clip.model._build_vision_tower(8, vision)
    text = message(UnsupportedModelError, vt.from_module, tower)
    assert "got an MLP, a `Mlp` at `head.mlp`" in text


def test_a_block_whose_attention_runs_along_the_images_is_refused():
    tower = random_tower({})
    tower.transformer.resblocks[0].attn.batch_first = False
    assert "must run along the tokens" in message(UnsupportedModelError, vt.from_module, tower)


def test_a_patched_block_is_refused():
    tower = random_tower({})
    tower.transformer.resblocks[1].forward = lambda x, attn_mask=None: x
    text = message(UnsupportedModelError, vt.from_module, tower)
    assert "another `forward` on `transformer.resblocks.1`" in text


def test_weights_of_two_types_are_refused():
    clip = open_clip.CLIP(8, VISION, TEXT)
    clip.visual.ln_post.bfloat16()
    assert "one dtype" in message(UnsupportedModelError, vt.from_module, clip.visual)


def test_weights_trained_with_another_activation_are_not_loaded(no_network):
    text = message(WeightsError, vt.load, "open_clip:ViT-B-32/openai")
    assert "Load `open_clip:ViT-B-32-quickgelu/openai`" in text


def test_unknown_names_and_tags_get_the_nearest():
    text = message(UnknownNameError, vt.load, "open_clip:ViT-B-23/openai")
    assert "Nearest: ViT-B-" in text
    text = message(UnknownNameError, vt.load, "open_clip:ViT-B-16-SigLIP/weblo")
    assert "Nearest: ViT-B-16-SigLIP/webli" in text
    assert "Pass a tag" in message(WeightsError, vt.load, "open_clip:ViT-B-32")


def test_no_network_is_one_line(no_network, tmp_path):
    for name in ("open_clip:ViT-B-32-quickgelu/openai", "open_clip:hf-hub:laion/CLIP"):
        text = message(WeightsError, vt.load, name, cache_dir=tmp_path)
        assert 'Pass `weights="FILE"`, or connect to the network.' in text
    text = message(WeightsError, vt.load, "torchvision:vit_b_16", cache_dir=tmp_path)
    assert "isn't in the cache" in text


def test_a_processor_of_another_kind_is_refused():
    tower = random_tower({"layers": 1})
    assert "`PreprocessCfg`" in message(TypeError, vt.from_module, tower, nn.Identity())


def test_a_folder_of_open_clip_loads_and_a_wrong_file_does_not(tmp_path):
    tower = random_tower({"layers": 1}).float()
    cfg = {"embed_dim": 48, "vision_cfg": VISION, "text_cfg": {}}
    about = {"model_cfg": cfg, "preprocess_cfg": {"resize_mode": "squash"}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(about))
    whole = {f"visual.{name}": x for name, x in tower.state_dict().items()}
    safetensors.torch.save_file(
        whole | {"logit_scale": torch.ones(1)}, tmp_path / "open_clip_model.safetensors"
    )
    model = vt.load(f"open_clip:local-dir:{tmp_path}")
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model(images), tower(images))
    assert model.preprocessing.crop_mode == "squash"
    del whole["visual.conv1.weight"]
    torch.save(whole, tmp_path / "broken.pt")
    text = message(
        WeightsError, vt.load, f"open_clip:local-dir:{tmp_path}", weights=tmp_path / "broken.pt"
    )
    assert "1 missing, first `conv1.weight`" in text


def test_a_larger_image_size_resamples_positions_as_open_clip_does(tmp_path):
    tower = random_tower({"layers": 1}).float()
    cfg = {"embed_dim": 48, "vision_cfg": VISION, "text_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg}))
    torch.save(tower.state_dict(), tmp_path / "tower.pt")
    model = vt.load(f"open_clip:local-dir:{tmp_path}", weights=tmp_path / "tower.pt", image_size=96)
    clip = nn.Module()
    clip.visual = random_tower({"layers": 1, "image_size": 96}).float()
    state = {f"visual.{name}": x for name, x in tower.state_dict().items()}
    open_clip.model.resize_pos_embed(state, clip)
    clip.load_state_dict(state)
    images = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(model(images), clip.visual(images))


# ---- torchvision


def small_vit(**changes) -> VisionTransformer:
    sizes = {"image_size": 32, "patch_size": 16, "num_layers": 1, "num_heads": 2}
    return VisionTransformer(**(sizes | {"hidden_dim": 16, "mlp_dim": 16} | changes))


def test_torchvision_models_that_do_not_fit_say_why():
    two = small_vit(representation_size=8)
    assert "got Linear, Tanh, Linear" in message(UnsupportedModelError, vt.from_module, two)
    resnet = "torchvision:resnet18"
    assert "vt.wrap" in message(UnsupportedModelError, vt.load, resnet, weights="none.pth")
    assert "Nearest: vit_b_16" in message(UnknownNameError, vt.load, "torchvision:vit_b_61")
    text = message(UnknownNameError, vt.load, "torchvision:vit_b_16/IMAGENET1K_V2")
    assert "Nearest: vit_b_16/IMAGENET1K_V1" in text
    assert "`transforms()`" in message(TypeError, vt.from_module, small_vit(), "bicubic")
    resnet = torchvision.models.resnet18(weights=None)
    assert "vt.wrap" in message(UnsupportedModelError, vt.from_module, resnet)


# ---- Prisma


@pytest.mark.parametrize(
    ("changes", "feature"),
    [
        ({"use_bert_block": True}, "norms behind the sums"),
        ({"is_video_transformer": True}, "video"),
        ({"use_attn_scale": False}, "root of `d_head`"),
        ({"use_cls_token": False}, "`use_cls_token=False`"),
        ({"activation_name": "leaky"}, "got 'leaky'"),
    ],
    ids=str,
)
def test_a_feature_of_prisma_that_is_missing_here_is_named(changes, feature, tmp_path):
    folder = write(tmp_path, HOOKED | changes, {"cls_token": torch.zeros(1)}, "safetensors")
    assert feature in message(UnsupportedModelError, vt.load, f"prisma:{folder}")


def test_norms_in_the_first_format_are_named(tmp_path):
    about = first_config(False, layer_norm_eps=1e-6)
    folder = write(tmp_path, about, first_weights(False, True), "safetensors")
    assert "`layer_norm_eps=1e-06`" in message(UnsupportedModelError, vt.load, f"prisma:{folder}")


def test_weights_that_are_not_those_of_the_configuration_are_named(tmp_path):
    cfg = HOOKED | {
        "use_cls_token": True, "normalization_type": "LN", "layer_norm_pre": False,
        "attn_only": False, "activation_name": "gelu", "n_channels": 3,
    }  # fmt: skip
    tensors = hooked_weights(cfg)
    lacking = {name: x for name, x in tensors.items() if name != "blocks.0.attn.W_Q"}
    folder = write(tmp_path, cfg, lacking, "safetensors")
    assert "'blocks.0.attn.W_Q' is missing" in message(WeightsError, vt.load, f"prisma:{folder}")
    lacking = {name: x for name, x in tensors.items() if name != "blocks.0.attn.b_O"}
    folder = write(tmp_path, cfg, lacking | {"blocks.0.odd": torch.zeros(1)}, "safetensors")
    text = message(WeightsError, vt.load, f"prisma:{folder}")
    assert "first `blocks.0.attn.out.bias`" in text and "`blocks.0.odd`" in text


def test_a_folder_must_say_which_file_is_meant(tmp_path):
    about = first_config(False)
    assert "config.json" in message(WeightsError, vt.load, f"prisma:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps(about))
    assert "got none" in message(WeightsError, vt.load, f"prisma:{tmp_path}")
    for step in (1, 2):
        torch.save(first_weights(False, True), tmp_path / f"model_{step}.pth")
    assert "model_1.pth, model_2.pth" in message(WeightsError, vt.load, f"prisma:{tmp_path}")
    assert vt.load(f"prisma:{tmp_path}", weights=tmp_path / "model_2.pth")


class Harm:
    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"weights": Harm()}, "may run code"),
        ({"a": 3}, "got 'a'"),
        ([1, 2], "got 'list'"),
    ],
    ids=["code", "numbers", "a list"],
)
def test_files_that_hold_no_tensors_are_refused(content, problem, tmp_path, capsys):
    torch.save(content, tmp_path / "model.pth")
    (tmp_path / "config.json").write_text(json.dumps(HOOKED))
    assert problem in message(WeightsError, vt.load, f"prisma:{tmp_path}")
    assert "harm" not in capsys.readouterr().out


def test_a_file_that_was_cut_off_is_refused(tmp_path):
    torch.save(first_weights(False, True), tmp_path / "model.pth")
    raw = (tmp_path / "model.pth").read_bytes()
    (tmp_path / "model.pth").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "config.json").write_text(json.dumps(HOOKED))
    assert "can't be read" in message(WeightsError, vt.load, f"prisma:{tmp_path}")
