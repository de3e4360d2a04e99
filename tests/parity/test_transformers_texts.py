"""Equality with transformers' text towers and models of two towers under its fused attention."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import open_clip
import pytest
import safetensors.torch
import torch
import transformers
from torch import Tensor, nn

import vitreous as vt
from tests.parity.distances import distance, distances, too_far
from tests.parity.open_clip_models import randomized
from tests.parity.transformers_models import as_patches, random_images
from tests.parity.transformers_texts import (
    CASES,
    TEXT,
    layers_of,
    random_model,
    random_texts,
    readout,
    text_tower,
)

every_case = pytest.mark.parametrize("case", CASES)
WHOLE = [case for case in CASES if "both towers" in case]


def seen_inside(module: Any, tokens: Tensor) -> dict[str, Tensor]:
    """What plain hooks reach in every block, by our names and in our shapes."""
    seen: dict[str, Tensor] = {}
    handles = []

    def tap(part: nn.Module, name: str, end: str = "output", heads: bool = False) -> None:
        def note(_part: nn.Module, inputs: tuple, output: Any) -> None:
            value = inputs[0] if end == "input" else output
            value = value[0] if isinstance(value, tuple) else value
            seen[name] = (value.unflatten(-1, (3, -1)) if heads else value).detach().clone()

        handles.append(part.register_forward_hook(note))

    tap(text_tower(module).embeddings, "hook_full_embed")
    for layer, block in enumerate(layers_of(module)):
        at = f"blocks.{layer}."
        tap(block, f"{at}hook_resid_pre", "input")
        tap(block.layer_norm1, f"{at}ln1.hook_normalized")
        for letter in "qkv":
            part = getattr(block.self_attn, f"{letter}_proj")
            tap(part, f"{at}attn.hook_{letter}", heads=True)
        tap(block.self_attn.out_proj, f"{at}attn.hook_z", "input", heads=True)
        tap(block.self_attn.out_proj, f"{at}hook_attn_out")
        tap(block.layer_norm2, f"{at}hook_resid_mid", "input")
        tap(block.mlp.fc1, f"{at}mlp.hook_pre")
        tap(block.mlp.fc2, f"{at}mlp.hook_post", "input")
        tap(block, f"{at}hook_resid_post")
    tap(text_tower(module).final_layer_norm, "hook_ln_final")
    seen["hook_post_head_pre_normalize"] = readout(module, tokens)
    for handle in handles:
        handle.remove()
    return seen


@every_case
def test_embedding_and_all_values_inside_equal_transformers_in_float64(case):
    module = random_model(case)
    tokens = random_texts(module)
    model = vt.from_module(module, tower="text")
    assert too_far(distances(model, tokens, seen_inside(module, tokens))) == {}


@pytest.mark.parametrize("case", ["clip, both towers", "siglip, other width", "siglip 2"])
def test_the_comparison_that_users_run_agrees_in_both_precisions(case):
    module = random_model(case).float()
    report = vt.from_module(module, tower="text").check(random_texts(module), source=module)
    assert report, report


def test_what_fills_a_causal_text_up_changes_nothing_and_need_not_be_hidden():
    module = random_model("clip, projected")
    tokens = random_texts(module)
    model, mask = vt.from_module(module), (tokens != 0).long()
    hidden = readout(module, tokens, attention_mask=mask)
    assert distance(model(tokens), hidden) <= 1e-10
    assert distance(model(tokens.where(tokens != 0, 29)), hidden) <= 1e-10


def test_siglip_attends_to_what_fills_a_text_up():
    module = random_model("siglip")
    tokens = random_texts(module)
    model = vt.from_module(module)
    assert distance(model(tokens), readout(module, tokens)) <= 1e-10
    masked = readout(module, tokens, attention_mask=(tokens != 0).long())
    assert distance(model(tokens), masked) > 1e-3


def test_a_change_of_any_one_weight_is_noticed():
    module = random_model("siglip, other width")
    tokens = random_texts(module)
    truth, model = readout(module, tokens), vt.from_module(module)
    unnoticed = []
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            value, rows = parameter.detach().clone(), parameter.view(len(parameter), -1)
            rows[-1, -1] += 1e-3
            unnoticed += [] if distance(model(tokens), truth) > 1e-10 else [name]
            parameter.copy_(value)
    assert unnoticed == []


@torch.no_grad()
def logits(module: Any, images: Tensor, tokens: Tensor) -> Tensor:
    inputs: dict[str, Any] = {"pixel_values": images}
    if module.config.model_type == "siglip2":
        inputs = as_patches(images, module.config.vision_config.patch_size)
    return module(input_ids=tokens, **inputs).logits_per_image


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_model_gives_two_towers_and_its_logits(case):
    module = random_model(case)
    images, tokens = random_images(module), random_texts(module)
    model = vt.from_module(module)
    assert isinstance(model, vt.HookedCLIP)
    assert distance(model(images, tokens), logits(module, images, tokens)) <= 1e-10
    assert model.card["source"].endswith(f"a {type(module).__name__}")


@every_case
def test_a_saved_model_loads_and_equals_it(case, tmp_path):
    module = random_model(case)
    module.save_pretrained(tmp_path)
    tokens = random_texts(module)
    model = vt.load(f"hf:{tmp_path}", dtype=torch.float64)
    assert isinstance(model, vt.HookedCLIP if case in WHOLE else vt.HookedTextTransformer)
    text = vt.load(f"hf:{tmp_path}", tower="text", dtype=torch.float64)
    assert distance(text(tokens), readout(module, tokens)) <= 1e-10
    if case in WHOLE:
        images = random_images(module)
        assert distance(model(images, tokens), logits(module, images, tokens)) <= 1e-10


@pytest.mark.parametrize("case", ["clip", "clip, projected", "siglip", "siglip 2"])
def test_names_of_version_4_are_understood(case, tmp_path):
    module = random_model(case)
    module.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    saved = safetensors.torch.load_file(path)
    old = {
        re.sub(r"^(?!text_model\.|text_projection\.)", "text_model.", n): x
        for n, x in saved.items()
    }
    old["text_model.embeddings.position_ids"] = torch.arange(8)[None]
    safetensors.torch.save_file(old, path)
    tokens = random_texts(module)
    model = vt.load(f"hf:{tmp_path}", dtype=torch.float64)
    assert distance(model(tokens), readout(module, tokens)) <= 1e-10


REFUSED = {
    "and no subclass; got a `Doubled`": lambda: type("Doubled", (transformers.CLIPTextModel,), {})(
        transformers.CLIPTextConfig(**TEXT)
    ),
    "`eos_token_id` must be one token": lambda: changed(
        lambda m: setattr(m, "eos_token_id", [29, 2])
    ),
    "Norms must have the config's": lambda: changed(
        lambda m: setattr(m.encoder.layers[1].layer_norm1, "eps", 1.0)
    ),
    "An activation must be the config's": lambda: changed(
        lambda m: setattr(m.encoder.layers[1].mlp, "activation_fn", nn.ReLU())
    ),
    "no forward hooks .* got one on `encoder.layers.0`": lambda: changed(
        lambda m: m.encoder.layers[0].register_forward_hook(lambda *_: None)
    ),
}


def changed(change: Any) -> Any:
    module = random_model("clip")
    change(module)
    return module


@pytest.mark.parametrize(("words", "make"), REFUSED.items(), ids=REFUSED)
def test_what_would_compute_something_else_is_refused(words, make):
    with pytest.raises(vt.UnsupportedModelError, match=words) as caught:
        vt.from_module(make())
    assert "\n" not in str(caught.value)


# ---- texts

TEXTS = [
    "a photo of a cat.",
    "Two dogs and a cat on the way to somewhere far away",
    "it's 5 o'clock",
]


@pytest.fixture(scope="module")
def byte_pairs(tmp_path_factory) -> Path:
    """The files of CLIP's tokenizer, from the byte pairs that come with open_clip."""
    folder = tmp_path_factory.mktemp("tokenizer")
    source = open_clip.SimpleTokenizer()
    names = {source.sot_token_id: "<|startoftext|>", source.eot_token_id: "<|endoftext|>"}
    vocabulary = {names.get(i, word): i for word, i in source.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    packed = Path(open_clip.tokenizer.default_bpe()).read_bytes()
    pairs = gzip.decompress(packed).decode().split("\n")
    merges = pairs[1 : 49152 - 256 - 2 + 1]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    transformers.CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)
    return folder


def clip_of_real_words() -> Any:
    real = {"vocab_size": 49408, "hidden_size": 6, "eos_token_id": 49407, "pad_token_id": 49407}
    text = TEXT | real | {"max_position_embeddings": 12}
    vision = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 1, "image_size": 32}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=10)
    torch.manual_seed(0)
    return transformers.CLIPModel(config).eval()


def test_texts_become_tokens_as_transformers_does_it(byte_pairs):
    tokenizer = transformers.AutoTokenizer.from_pretrained(byte_pairs)
    images = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor = transformers.CLIPProcessor(images, tokenizer)
    module = clip_of_real_words()
    model = vt.from_module(module, processor)
    inputs = tokenizer(TEXTS, padding=True, max_length=12, truncation=True, return_tensors="pt")
    truth = module.get_text_features(**inputs).pooler_output
    torch.testing.assert_close(model.encode_text(TEXTS, normalize=False), truth)
    assert model.preprocessing.image_size == (32, 32)
    words = model.text.to_str_tokens("a cat.")
    assert words[0] == "<|startoftext|>" and words[2].strip() == "cat"
    alone = vt.from_module(module, tokenizer)
    assert alone.preprocessing is None and alone.to_tokens("cat").shape == (1, 12)


def test_open_clips_wrapper_of_a_tokenizer_is_taken_as_it_is(byte_pairs):
    wrapper = open_clip.tokenizer.HFTokenizer(str(byte_pairs), clean="canonicalize")
    tower = open_clip.transformer.TextTransformer(7, 49408, 8, 2, 1, output_dim=4)
    model = vt.from_module(tower, processor=wrapper)
    assert torch.equal(model.to_tokens(["A cat!", *TEXTS]), wrapper(["A cat!", *TEXTS], 7))
    assert [word.strip() for word in model.to_str_tokens("A cat!")[1:3]] == ["a", "cat"]


def test_a_saved_tokenizer_is_loaded_with_its_model(byte_pairs, tmp_path):
    module = clip_of_real_words()
    module.save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(byte_pairs).save_pretrained(tmp_path)
    model = vt.load(f"hf:{tmp_path}")
    tokens = open_clip.tokenize(TEXTS, 12)
    end = tokens.argmax(-1, keepdim=True)  # behind it, transformers' CLIP has more of that token
    places = torch.arange(12).expand_as(tokens)
    assert torch.equal(model.to_tokens(TEXTS), tokens.where(places <= end, 49407))


def test_a_tokenizer_of_a_larger_vocabulary_is_refused_or_left_out(byte_pairs, tmp_path):
    module = random_model("clip")
    tokenizer = transformers.AutoTokenizer.from_pretrained(byte_pairs)
    with pytest.raises(ValueError, match="ids of the model's 30 tokens; got one with 49408"):
        vt.from_module(module, tokenizer)
    module.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="The tokenizer of .* can't be used"):
        assert vt.load(f"hf:{tmp_path}").tokenizer is None


# ---- the same weights by another route

ROUTE = [
    ("embeddings.class_embedding", "class_embedding"),
    ("embeddings.patch_embedding.", "conv1."),
    ("embeddings.position_embedding.weight", "positional_embedding"),
    ("embeddings.token_embedding.", "token_embedding."),
    ("encoder.layers.", "transformer.resblocks."),
    ("pre_layrnorm.", "ln_pre."),
    ("post_layernorm.", "ln_post."),
    ("final_layer_norm.", "ln_final."),
    ("visual_projection.weight", "visual.proj"),
    ("text_projection.weight", "text_projection"),
    ("self_attn.", "attn."),
    ("layer_norm1.", "ln_1."),
    ("layer_norm2.", "ln_2."),
    ("mlp.fc1.", "mlp.c_fc."),
    ("mlp.fc2.", "mlp.c_proj."),
    ("vision_model.", "visual."),
    ("text_model.", ""),
]


def from_open_clip(name: str, tensors: dict[str, Tensor]) -> Tensor:
    """A weight of transformers among those of open_clip."""
    for theirs, other in ROUTE:
        name = name.replace(theirs, other)
    for place, letter in enumerate("qkv"):
        if f".{letter}_proj." in name:
            return tensors[name.replace(f".{letter}_proj.", ".in_proj_")].chunk(3)[place]
    return tensors[name].T if name in ("visual.proj", "text_projection") else tensors[name]


def b_32_by_both_routes() -> tuple[Any, Any]:
    """A CLIP B/32 with QuickGELU, narrow and shallow, in open_clip and in transformers."""
    about = open_clip.get_model_config("ViT-B-32-quickgelu")
    vision = about["vision_cfg"] | {"layers": 2, "width": 128}
    text = about["text_cfg"] | {"layers": 2, "width": 64, "heads": 2}
    theirs = randomized(open_clip.CLIP(64, vision, text, quick_gelu=True))
    sizes = {"num_hidden_layers": 2, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
    config = transformers.CLIPConfig(
        vision_config=sizes
        | {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 2}
        | {"image_size": 224, "patch_size": 32},
        text_config=sizes
        | {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 2}
        | {"vocab_size": 49408, "max_position_embeddings": 77, "eos_token_id": 49407},
        projection_dim=64,
    )
    other = transformers.CLIPModel(config).double().eval()
    tensors = theirs.state_dict()
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            parameter.copy_(from_open_clip(name, tensors))
    return theirs, other


@torch.no_grad()
def test_the_same_clip_through_open_clip_and_through_transformers_is_the_same():
    theirs, other = b_32_by_both_routes()
    models = [vt.from_module(each) for each in (theirs, other)]
    first, second = (model.state_dict() for model in models)
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    tokens = open_clip.tokenize(TEXTS)
    images = torch.randn(2, 3, 224, 224, dtype=torch.float64)
    for model in models:
        assert distance(model(images, tokens), theirs.get_logits(images, tokens)[0]) <= 1e-10
        assert distance(model(images, tokens), logits(other, images, tokens)) <= 1e-10
