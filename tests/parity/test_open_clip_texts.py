"""Equality with open_clip's text towers and models of two towers, value by value."""

import json
from typing import Any

import open_clip
import pytest
import safetensors.torch
import torch
from open_clip.transformer import LayerNormFp32, TextTransformer
from torch import Tensor, nn

import vitreous as vt
from tests.parity import open_clip_texts
from tests.parity.distances import distance, distances, too_far
from tests.parity.open_clip_models import randomized
from tests.parity.open_clip_texts import VISION, blocks, embedding, random_texts

SMALL = {
    "context_length": 7, "vocab_size": 20, "width": 24, "heads": 3, "layers": 2, "output_dim": 16
}  # fmt: skip

# What a tower is told beside the sizes. Together they have every part that there is.
TOWERS: dict[str, dict[str, Any]] = {
    "clip": {},
    "quick gelu": {"act_layer": open_clip.transformer.QuickGELU},
    "attends to all": {"no_causal_mask": True, "pool_type": "last"},
    "the first token": {"no_causal_mask": True, "pool_type": "first"},
    "the first end": {"pool_type": "eos", "eos_id": 2},
    "no pooling": {"pool_type": "none"},
    "padding hidden": {"no_causal_mask": True, "use_pad_mask": True, "pool_type": "first"},
    "padding of another number": {"no_causal_mask": True, "use_pad_mask": True, "pad_id": 19},
    "coca": {"embed_cls": True, "output_tokens": True},
    "coca, padding in its place": {"embed_cls": True, "correct_cls_mask": True},
    "coca, attends to all": {"embed_cls": True, "no_causal_mask": True, "pool_type": "argmax"},
    "no projection": {"proj_type": "none"},
    "projection with a bias": {"proj_bias": True},
    "LayerScale": {"ls_init_value": 0.1},
    "a wider MLP": {"mlp_ratio": 3.7362},
    "custom block, LayerScale": {"block_type": "custom", "ls_init_value": 0.1},
    "qk-norm, heads scaled": {"qk_norm": True, "scale_heads": True},
    "norms inside": {"scale_attn_inner": True, "scale_fc": True, "no_causal_mask": True},
    "custom block, padding hidden": {
        "block_type": "custom", "no_causal_mask": True, "use_pad_mask": True, "pool_type": "first"
    },
}  # fmt: skip

every_tower = pytest.mark.parametrize("changes", TOWERS.values(), ids=TOWERS)


def random_tower(changes: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return randomized(TextTransformer(**(SMALL | changes)))


def texts_for(tower: Any) -> Tensor:
    """Texts of several lengths; where another number than 0 is padding, that."""
    tokens = random_texts(tower)
    pad = tower.pad_id if tower.use_pad_mask else 0
    return tokens.where((tokens != 0) | (pad == 0), pad) if pad else tokens


def seen_inside(tower: Any, tokens: Tensor) -> dict[str, Tensor]:
    """What plain hooks on the original reach, by our names."""
    seen: dict[str, Tensor] = {}
    handles = []

    def tap(part: nn.Module, name: str, end: str = "output") -> None:
        def note(_part: nn.Module, inputs: tuple, output: Tensor) -> None:
            seen[name] = (inputs[0] if end == "input" else output).detach().clone()

        handles.append(part.register_forward_hook(note))

    for layer, block in enumerate(blocks(tower)):
        at = f"blocks.{layer}."
        tap(block.ln_1, f"{at}hook_resid_pre", "input")
        tap(block.ln_1, f"{at}ln1.hook_normalized")
        tap(block.ls_1, f"{at}hook_attn_out")
        tap(block.ln_2, f"{at}hook_resid_mid", "input")
        tap(block.mlp.c_fc, f"{at}mlp.hook_pre")
        tap(block.mlp.c_proj, f"{at}mlp.hook_post", "input")
        tap(block.ls_2, f"{at}hook_mlp_out")
        tap(block, f"{at}hook_resid_post")
    with torch.no_grad():
        seen["hook_post_head_pre_normalize"] = embedding(tower, tokens)
    for handle in handles:
        handle.remove()
    return seen


@every_tower
def test_embedding_and_all_values_inside_equal_open_clip_in_float64(changes):
    tower = random_tower(changes)
    tokens = texts_for(tower)
    model = vt.from_module(tower)
    assert isinstance(model, vt.HookedTextTransformer)
    assert too_far(distances(model, tokens, seen_inside(tower, tokens))) == {}


@pytest.mark.parametrize("name", ["clip", "coca", "LayerScale", "norms inside"])
def test_the_comparison_that_users_run_agrees_in_both_precisions(name):
    tower = random_tower(TOWERS[name]).float()
    report = vt.from_module(tower).check(texts_for(tower), source=tower)
    assert report, report


@pytest.mark.parametrize("name", ["coca", "projection with a bias"])
def test_a_change_of_any_one_weight_is_noticed(name):
    tower = random_tower(TOWERS[name])
    tokens = texts_for(tower)
    truth, model = embedding(tower, tokens).detach(), vt.from_module(tower)
    unnoticed = []
    with torch.no_grad():
        for weight, parameter in model.named_parameters():
            value, rows = parameter.detach().clone(), parameter.view(len(parameter), -1)
            rows[tokens[0, 0] if weight == "embedding.tokens" else -1, -1] += 1e-3
            unnoticed += [] if distance(model(tokens), truth) > 1e-10 else [weight]
            parameter.copy_(value)
    assert unnoticed == []


def test_texts_shorter_than_the_context_are_read_where_they_end():
    tower = random_tower({"embed_cls": True})  # which cuts its mask to the texts
    tokens = texts_for(tower)[1:, :5]
    truth = embedding(tower, tokens).detach()
    assert distance(vt.from_module(tower)(tokens), truth) <= 1e-10


# ---- models of two towers

CONFIGS = {
    "clip": (open_clip.CLIP, {}, {}),
    "clip, with a bias": (open_clip.CLIP, {}, {"init_logit_bias": -3.0}),
    "clip, the last token": (open_clip.CLIP, {"no_causal_mask": True, "pool_type": "last"}, {}),
    "siglip": (
        open_clip.CustomTextCLIP,
        {"no_causal_mask": True, "pool_type": "last", "proj_bias": True},
        {"init_logit_bias": -10.0, "nonscalar_logit_scale": True},
    ),
    "coca": (
        open_clip.CoCa,
        {"embed_cls": True, "output_tokens": True},
        {"multimodal_cfg": {"width": 16, "heads": 2, "layers": 1, "context_length": 7}},
    ),
}
COCA_VISION = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}


def random_clip(case: str) -> Any:
    kind, text, further = CONFIGS[case]
    torch.manual_seed(0)
    vision = VISION | (COCA_VISION if case == "coca" else {})
    sizes = {name: SMALL[name] for name in SMALL if name != "output_dim"}
    clip = kind(embed_dim=16, vision_cfg=vision, text_cfg=sizes | text, **further)
    return randomized(clip)


def inputs_for(clip: Any) -> tuple[Tensor, Tensor]:
    tokens = random_texts(getattr(clip, "text", clip))
    return torch.randn(2, 3, 32, 32, dtype=torch.float64), tokens


@torch.no_grad()
def logits(clip: Any, images: Tensor, tokens: Tensor) -> Tensor:
    """By open_clip's own definition; its CoCa has no function for it."""
    image = clip.encode_image(images, normalize=True)
    text = clip.encode_text(tokens, normalize=True)
    compared = clip.logit_scale.exp() * image @ text.T
    return compared if clip.logit_bias is None else compared + clip.logit_bias


@pytest.mark.parametrize("case", CONFIGS)
def test_a_whole_model_gives_two_towers_and_its_logits(case):
    clip = random_clip(case)
    images, tokens = inputs_for(clip)
    model = vt.from_module(clip)
    assert isinstance(model, vt.HookedCLIP)
    assert distance(model(images, tokens), logits(clip, images, tokens)) <= 1e-10
    if case != "coca":
        assert distance(model(images, tokens), clip.get_logits(images, tokens)[0]) <= 1e-10
    for name, encode in (("image", clip.encode_image), ("text", clip.encode_text)):
        inputs = images if name == "image" else tokens
        tower = vt.from_module(clip, tower=name)
        assert distance(tower(inputs), encode(inputs, normalize=False)) <= 1e-10


def test_a_tower_is_compared_with_the_whole_model_that_it_is_part_of():
    clip = random_clip("clip").float()
    model = vt.from_module(clip)
    assert model.text.check(inputs_for(clip)[1], source=clip)
    assert model.image.check(source=clip)
    custom = random_clip("siglip").float()
    assert vt.from_module(custom).text.check(inputs_for(custom)[1], source=custom)


def test_norms_of_mixed_precision_are_read():
    tower = TextTransformer(**SMALL, norm_layer=LayerNormFp32).eval()
    tokens = random_texts(tower)
    torch.testing.assert_close(vt.from_module(tower)(tokens), tower(tokens))


# ---- texts

TEXTS = ["a photo of a cat.", "Two dogs &amp; a cat on the way to somewhere", "🐈"]


def test_texts_become_tokens_as_open_clip_does_it():
    torch.manual_seed(0)
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    text = {"context_length": 9, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}
    clip = open_clip.CLIP(16, VISION, text).eval()
    model = vt.from_module(clip, processor=tokenizer)
    assert torch.equal(model.to_tokens(TEXTS), tokenizer(TEXTS, 9))
    truth = clip.encode_text(tokenizer(TEXTS, 9), normalize=True)
    torch.testing.assert_close(model.encode_text(TEXTS), truth)
    words = model.text.to_str_tokens("A cat.")
    assert words[:5] == ["<start_of_text>", "a ", "cat ", ". ", "<end_of_text>"]


def test_a_tokenizer_and_a_record_of_images_may_come_together():
    record = open_clip.transform.PreprocessCfg(size=32, mean=(0.5,) * 3)
    text = {"context_length": 9, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}
    clip = open_clip.CLIP(16, VISION, text)
    model = vt.from_module(clip, processor=(record, open_clip.SimpleTokenizer()))
    assert model.preprocessing.mean == (0.5, 0.5, 0.5)
    assert model.to_tokens("cat").shape == (1, 9)
    with pytest.raises(ValueError, match="`to_tokens` needs to know how texts become ids"):
        vt.from_module(clip).to_tokens("cat")


# ---- names


@pytest.fixture
def folder(tmp_path):
    """A model in a folder as open_clip writes it, with its own byte pairs."""
    torch.manual_seed(0)
    text = {"context_length": 9, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}
    about = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": text, "init_logit_bias": 0.5}
    clip = randomized(open_clip.CLIP(**about)).float()
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": about}))
    weights = tmp_path / "open_clip_model.safetensors"
    safetensors.torch.save_file(clip.state_dict(), weights)
    return clip, tmp_path


def test_a_name_loads_both_towers_or_one(folder):
    clip, path = folder
    name, images = f"open_clip:local-dir:{path}", torch.randn(2, 3, 32, 32)
    model, tokens = vt.load(name), open_clip.tokenize(TEXTS, 9)
    torch.testing.assert_close(model(images, TEXTS), clip.get_logits(images, tokens)[0])
    assert model.card["source"].endswith(path.name)
    assert vt.load(name, tower="both", dtype=torch.float64).placement.dtype == torch.float64
    text = vt.load(name, tower="text")
    torch.testing.assert_close(text(text.to_tokens(TEXTS)), clip.encode_text(tokens))
    image = vt.load(name, tower="image", image_size=64)
    assert image.cfg.image_size == (64, 64)


def test_weights_of_a_tower_alone_give_that(folder, tmp_path):
    clip, path = folder
    name, file = f"open_clip:local-dir:{path}", tmp_path / "tower.safetensors"
    safetensors.torch.save_file(clip.visual.state_dict(), file)
    assert isinstance(vt.load(name, weights=file), vt.HookedViT)
    pieces = {n: x for n, x in clip.state_dict().items() if not n.startswith(("visual", "logit"))}
    safetensors.torch.save_file(pieces, file)
    text = vt.load(name, weights=file, tower="text")
    tokens = open_clip.tokenize(TEXTS, 9)
    torch.testing.assert_close(text(tokens), clip.encode_text(tokens))


def test_weights_of_another_width_are_reported(folder, tmp_path):
    other = open_clip.CLIP(16, VISION, {"width": 16, "heads": 2, "layers": 1, "context_length": 9})
    file = tmp_path / "other.safetensors"
    safetensors.torch.save_file(other.state_dict(), file)
    with pytest.raises(vt.WeightsError, match=r"must have shape \[8\]; got \[16\]"):
        vt.load(f"open_clip:local-dir:{folder[1]}", weights=file, tower="text")


def test_a_longer_context_resamples_positions_as_open_clip_does(folder, tmp_path):
    clip, path = folder
    about = json.loads((path / "open_clip_config.json").read_text())
    about["model_cfg"]["text_cfg"]["context_length"] = 12
    (path / "open_clip_config.json").write_text(json.dumps(about))
    longer = open_clip.CLIP(**about["model_cfg"]).eval()
    state = clip.state_dict()
    open_clip.model.resize_text_pos_embed(state, longer)
    longer.load_state_dict(state)
    text = vt.load(f"open_clip:local-dir:{path}", tower="text")
    tokens = open_clip.tokenize(TEXTS, 12)
    torch.testing.assert_close(text(tokens), longer.encode_text(tokens))


def test_every_text_tower_that_is_not_open_clips_own_is_one_of_hugging_faces():
    assert len(open_clip_texts.names()) + len(open_clip_texts.hugging_face_names()) == len(
        open_clip.list_models()
    )
    for name in open_clip_texts.hugging_face_names():
        assert open_clip.get_model_config(name)["text_cfg"]["hf_model_name"]
