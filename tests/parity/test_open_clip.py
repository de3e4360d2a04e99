"""Equality with open_clip's image towers, value by value."""

import copy

import open_clip
import pytest
import safetensors.torch
import torch
from open_clip.transformer import LayerNorm, VisionTransformer
from torch import Tensor, nn

import vitreous as vt
from tests.parity.distances import distance, distances, too_far
from tests.parity.test_timm import randomize

SMALL = {"layers": 2, "width": 48, "head_width": 16, "patch_size": 16, "image_size": 64}

# What a configuration says beside the sizes. Together they have every part that there is.
TOWERS = {
    "clip": {},
    "clip, quick gelu": {"quick_gelu": True},
    "not square": {"image_size": (32, 48)},
    "pixels of no patch": {"image_size": 60},
    "LayerScale": {"ls_init_value": 0.1},
    "mean, norm behind": {"no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True},
    "mean, norm in front": {"pool_type": "avg"},
    "class token, norm behind": {"final_ln_after_pool": True},
    "no pooling": {"pool_type": "none"},
    "fixed positions": {"pos_embed_type": "sin_cos_2d"},
    "patch dropout": {"patch_dropout": 0.5},
    "gelu, tanh": {"act_kwargs": {"approximate": "tanh"}},
    "another eps": {"norm_kwargs": {"eps": 1e-3}},
    "qk-norm": {"qk_norm": True},
    "heads scaled": {"scale_heads": True},
    "norm in front of the output weight": {"scale_attn_inner": True, "scale_heads": True},
    "norm inside the MLP": {"scale_fc": True},
    "custom block, LayerScale": {"block_type": "custom", "ls_init_value": 0.1},
    "coca": {"attentional_pool": True, "attn_pooler_heads": 4, "output_tokens": True},
    "coca, other width": {"attentional_pool": True, "attn_pooler_heads": 4, "embed_dim": 24},
}

every_tower = pytest.mark.parametrize("changes", TOWERS.values(), ids=TOWERS.keys())


def random_tower(changes: dict) -> VisionTransformer:
    """A small tower in which every bias, norm, LayerScale and token is random."""
    torch.manual_seed(0)
    changes = {"embed_dim": 48, "quick_gelu": False} | changes
    embed_dim, quick_gelu = changes.pop("embed_dim"), changes.pop("quick_gelu")
    vision = open_clip.CLIPVisionCfg(**(SMALL | changes))
    tower = open_clip.model._build_vision_tower(embed_dim, vision, quick_gelu)
    return randomized(tower)


@torch.no_grad()
def randomized(tower: nn.Module) -> nn.Module:
    randomize(tower.double().eval())
    for part in tower.modules():
        if isinstance(part, LayerNorm):  # its name says `ln` and not `norm`
            part.weight.add_(1)
    return tower


def random_images(tower: nn.Module) -> Tensor:
    return torch.randn(2, 3, *tower.image_size, dtype=torch.float64)


def seen_inside(tower: VisionTransformer, images: Tensor) -> dict[str, Tensor]:
    """What plain hooks on the original reach, by our names and in our shapes."""
    seen: dict[str, Tensor] = {}
    handles = []

    def tap(part: nn.Module, name: str, end: str = "output") -> None:
        def note(_part: nn.Module, inputs: tuple, output: Tensor) -> None:
            seen[name] = (inputs[0] if end == "input" else output).detach().clone()

        handles.append(part.register_forward_hook(note))

    tap(tower.ln_pre, "hook_full_embed", "input")
    for layer, block in enumerate(tower.transformer.resblocks):
        at = f"blocks.{layer}."
        tap(block.ln_1, f"{at}hook_resid_pre", "input")
        tap(block.ln_1, f"{at}ln1.hook_normalized")
        tap(block.ls_1, f"{at}hook_attn_out")
        tap(block.ln_2, f"{at}hook_resid_mid", "input")
        tap(block.ln_2, f"{at}ln2.hook_normalized")
        tap(block.mlp.c_fc, f"{at}mlp.hook_pre")
        tap(
            block.mlp.gelu,
            f"{at}mlp.hook_mid"
            if "ln" in block.mlp._modules and not isinstance(block.mlp.ln, nn.Identity)
            else f"{at}mlp.hook_post",
        )
        tap(block.mlp.c_proj, f"{at}mlp.hook_post", "input")
        tap(block.ls_2, f"{at}hook_mlp_out")
        tap(block, f"{at}hook_resid_post")
    if tower.attn_pool is not None:
        tap(tower.attn_pool.ln_k, "hook_ln_final")
    elif not tower.final_ln_after_pool:
        tap(tower.ln_post, "hook_ln_final")
    with torch.no_grad():
        output = tower(images)
    seen["hook_post_head_pre_normalize"] = output[0] if tower.output_tokens else output
    for handle in handles:
        handle.remove()
    return seen


@every_tower
def test_embedding_and_all_values_inside_equal_open_clip_in_float64(changes):
    tower = random_tower(changes)
    images = random_images(tower)
    model = vt.from_module(tower)
    assert too_far(distances(model, images, seen_inside(tower, images))) == {}
    assert model.check()


@every_tower
def test_float32_is_no_further_from_the_truth_than_twice_open_clip(changes):
    tower = random_tower(changes).float()  # rounds the weights, so that they are no error
    images = random_images(tower).float()
    theirs, model = seen_inside(tower, images), vt.from_module(tower)
    truth = seen_inside(tower.double(), images.double())
    allowed = {name: 2 * distance(value, truth[name]) for name, value in theirs.items()}
    allowed["output"] = allowed["hook_post_head_pre_normalize"]
    ours = distances(model, images, truth)
    assert {name: far for name, far in ours.items() if not far <= allowed[name]} == {}


def test_the_embedding_is_the_one_that_is_not_normalized():
    clip = open_clip.CLIP(48, SMALL, {"width": 16, "heads": 2, "layers": 1, "vocab_size": 9})
    clip.visual = random_tower({})
    images = random_images(clip.visual)
    model = vt.from_module(clip.visual)
    assert distance(model(images), clip.encode_image(images, normalize=False)) < 1e-10


def test_weights_in_half_precision_keep_their_gains():
    tower = random_tower({"ls_init_value": 0.1}).bfloat16()
    model = vt.from_module(tower)
    assert model.cfg.layer_scale and model.placement.dtype == torch.bfloat16


@pytest.mark.parametrize("changes", [{}, TOWERS["coca"]], ids=["clip", "coca"])
def test_a_change_of_any_one_weight_is_noticed(changes):
    tower = random_tower(changes | {"layers": 1})
    images = random_images(tower)
    truth, model = seen_inside(tower, images), vt.from_module(tower)
    unnoticed = []
    for weight, parameter in model.named_parameters():
        value = parameter.detach().clone()
        with torch.no_grad():
            parameter.view(-1)[-1] += 1e-6
            unnoticed += [] if too_far(distances(model, images, truth)) else [weight]
            parameter.copy_(value)
    assert [name for name in unnoticed if name != "pooling.map.kv.bias"] == []


# ---- names


@pytest.fixture
def tiny_clip(monkeypatch, tmp_path):
    """The tower of a model on open_clip's list, with a tag whose weights are in the cache."""
    tower = random_tower({}).float()
    about = {"embed_dim": 48, "vision_cfg": SMALL, "text_cfg": {}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-clip", about)
    record = {"url": "https://none/whole.pt", "mean": 0.5, "std": 0.5, "resize_mode": "squash"}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-clip", {"mine": record})
    whole = {f"visual.{name}": tensor for name, tensor in tower.state_dict().items()}
    run = {"epoch": 3, "state_dict": {f"module.{name}": x for name, x in whole.items()}}
    torch.save(run | {"optimizer": {}}, tmp_path / "whole.pt")
    return tower


def test_a_tag_loads_its_weights_and_says_how_images_are_prepared(tiny_clip, tmp_path):
    model = vt.load("open_clip:tiny-clip/mine", cache_dir=tmp_path, local_files_only=True)
    images = random_images(tiny_clip).float()
    assert distance(model(images), tiny_clip(images).detach().double()) < 1e-5
    assert model.preprocessing.mean == (0.5, 0.5, 0.5)
    assert model.preprocessing.crop_mode == "squash"
    assert model.card["source"].endswith("tiny-clip/mine")


def test_a_file_of_a_tower_loads_with_open_clips_usual_preparation(tiny_clip, tmp_path):
    file = tmp_path / "tower.safetensors"
    safetensors.torch.save_file(tiny_clip.state_dict(), file)
    model = vt.load("open_clip:tiny-clip", weights=file, dtype=torch.float64)
    images = random_images(tiny_clip)
    assert distance(model(images), tiny_clip.double()(images).detach()) < 1e-10
    assert model.preprocessing.crop_mode == "center"
    assert model.card["source"].endswith("tower.safetensors")


# ---- trunks of timm's

TRUNKS = {
    "siglip": {
        "timm_model_name": "vit_base_patch16_siglip_224", "timm_pool": "map", "timm_proj": "none"
    },
    "mobileclip": {
        "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "timm_proj": None
    },
    "with a projection": {"timm_model_name": "vit_medium_patch16_gap_256", "timm_pool": "avg"},
    "and its bias": {
        "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "timm_proj_bias": True
    },
}  # fmt: skip


def random_trunk(changes: dict) -> nn.Module:
    small = {"depth": 2, "embed_dim": 36, "num_heads": 3, "img_size": 64}
    torch.manual_seed(0)
    with open_clip_trunks(small):
        vision = open_clip.CLIPVisionCfg(image_size=64, **changes)
        tower = open_clip.model._build_vision_tower(24, vision)
    return randomize(tower.double().eval())


class open_clip_trunks:
    """Has open_clip make its trunks with further arguments."""

    def __init__(self, changes: dict) -> None:
        self.changes = changes

    def __enter__(self) -> None:
        timm = open_clip.timm_model.timm
        self.create = timm.create_model
        timm.create_model = lambda *a, **k: self.create(*a, **(k | self.changes))

    def __exit__(self, *error: object) -> None:
        open_clip.timm_model.timm.create_model = self.create


@pytest.mark.parametrize("changes", TRUNKS.values(), ids=TRUNKS.keys())
def test_a_trunk_of_timm_with_what_open_clip_puts_behind_it_is_equal(changes):
    tower = random_trunk(changes)
    images = random_images(tower)
    resid: dict[str, Tensor] = {}
    for layer, block in enumerate(tower.trunk.blocks):
        name = f"blocks.{layer}.hook_resid_post"
        block.register_forward_hook(lambda _, __, out, name=name: resid.update({name: out}))
    with torch.no_grad():
        truth = {"hook_post_head_pre_normalize": tower(images)} | resid
    for block in tower.trunk.blocks:
        block._forward_hooks.clear()
    model = vt.from_module(tower)
    assert too_far(distances(model, images, truth)) == {}
    assert model.check() and model.labels is None


# ---- the same weights by two routes


def as_transformers(tower: VisionTransformer) -> nn.Module:
    """The same weights in transformers' CLIP vision model."""
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPVisionConfig(
        hidden_size=48, intermediate_size=192, projection_dim=48, num_hidden_layers=2,
        num_attention_heads=3, image_size=tower.image_size[0], patch_size=tower.patch_size[0],
        hidden_act="quick_gelu",
        layer_norm_eps=1e-5, attn_implementation="sdpa",
    )  # fmt: skip
    theirs = transformers.CLIPVisionModelWithProjection(config).double().eval()
    named = dict(theirs.named_parameters())
    ours = dict(copy.deepcopy(tower).state_dict())
    for name in list(named):
        short = name.removeprefix("vision_model.")
        short = short.replace("encoder.layers.", "transformer.resblocks.")
        for old, new in _ROUTE:
            short = short.replace(old, new)
        with torch.no_grad():
            named[name].copy_(_route(short, ours))
    return theirs


_ROUTE = [
    ("embeddings.class_embedding", "class_embedding"),
    ("embeddings.patch_embedding.", "conv1."),
    ("embeddings.position_embedding.weight", "positional_embedding"),
    ("pre_layrnorm.", "ln_pre."),
    ("post_layernorm.", "ln_post."),
    ("visual_projection.weight", "proj"),
    ("self_attn.", "attn."),
    ("layer_norm1.", "ln_1."),
    ("layer_norm2.", "ln_2."),
    ("mlp.fc1.", "mlp.c_fc."),
    ("mlp.fc2.", "mlp.c_proj."),
]


def _route(name: str, tensors: dict[str, Tensor]) -> Tensor:
    for place, letter in enumerate("qkv"):
        if f".{letter}_proj." in name:
            packed = name.replace(f".{letter}_proj.", ".in_proj_")
            return tensors[packed].chunk(3)[place]
    return tensors[name].T if name == "proj" else tensors[name]


@torch.no_grad()
def test_the_same_clip_through_open_clip_and_through_transformers_is_the_same():
    tower = random_tower({"quick_gelu": True})
    images = random_images(tower)
    theirs = as_transformers(tower)
    truth = theirs(images, output_hidden_states=True)
    for route in (tower, theirs):
        embedding, cache = vt.from_module(route).run_with_cache(images)
        assert distance(embedding, truth.image_embeds) < 1e-10
        for layer in range(2):
            assert distance(cache["resid_post", layer], truth.hidden_states[layer + 1]) < 1e-10


def test_the_same_clip_saved_for_transformers_loads_as_the_same_model(tmp_path):
    tower = random_tower({"quick_gelu": True, "patch_size": 32, "image_size": 224})
    theirs = as_transformers(tower)
    theirs.save_pretrained(tmp_path)
    ours = vt.from_module(tower)
    loaded = vt.load(f"hf:{tmp_path}", dtype=torch.float64)
    assert loaded.cfg == ours.cfg.replace(position=loaded.cfg.position)
    state = loaded.state_dict()
    assert state.keys() == ours.state_dict().keys()
    assert all(torch.equal(x, state[name]) for name, x in ours.state_dict().items())
    renamed = vt.from_state_dict(theirs.config, theirs.state_dict())
    assert all(torch.equal(x, state[name]) for name, x in renamed.state_dict().items())
