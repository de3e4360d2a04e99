"""What a model that can't be loaded gets: one line that names the thing and the way out."""

import functools
import os
import threading
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch
from timm.layers import Attention
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import vitreous as vt
from vitreous._errors import UnknownNameError, UnsupportedModelError, WeightsError
from vitreous.models.adapters import _network, _timm_download

TINY = {"depth": 2, "embed_dim": 24, "num_heads": 2, "num_classes": 3}


def tiny(name: str = "vit_tiny_patch16_224", **changes) -> nn.Module:
    return timm.create_model(name, **(TINY | changes))


def refusal(module: nn.Module) -> str:
    with pytest.raises(UnsupportedModelError) as error:
        vt.from_module(module)
    assert "\n" not in str(error.value)
    return str(error.value)


# -- Modules with a part that HookedViT lacks


@pytest.mark.parametrize(
    ("name", "changes", "feature"),
    [
        ("vit_tiny_patch16_224", {"attn_layer": "diff"}, "(differential attention)"),
        (
            "vit_dpwee_patch16_reg1_gap_256",
            {},
            "`blocks.0` must be a `Block` or `EvaBlock` or `ResPostBlock` or",
        ),
        ("vit_tiny_patch16_224", {"global_pool": "prr"}, "(attention pooling without weights)"),
        ("vit_tiny_patch16_224", {"global_pool": "max"}, "got `global_pool='max'`"),
        ("vit_tiny_patch16_224", {"act_layer": "elu"}, "`blocks.0.mlp.act` must be a `GELU` or"),
        ("vit_tiny_patch16_224", {"norm_layer": "simplenorm"}, "got a `SimpleNorm`"),
        (
            "vit_tiny_patch16_224",
            {"img_size": 230, "dynamic_img_pad": True},
            "in an image of 230 x 230",
        ),
        (
            "eva02_tiny_patch14_224",
            {"use_fc_norm": True, "use_post_transformer_norm": True},
            "got `fc_norm` beside `norm`",
        ),
        ("deit_tiny_distilled_patch16_224", {"reg_tokens": 2}, "got `num_prefix_tokens=2`"),
        ("deit_tiny_distilled_patch16_224", {"fc_norm": True}, "got `fc_norm` beside `head_dist`"),
    ],
)
def test_a_part_without_a_place_is_named_with_the_way_out(name, changes, feature):
    message = refusal(tiny(name, **changes))
    assert feature in message
    assert message.endswith("Use `vt.wrap(module)` for hooks on any module.")


def with_gate(vit: VisionTransformer) -> None:
    vit.blocks[1].attn = Attention(24, num_heads=2, qkv_bias=True, gated=True)


def with_a_weight_more(vit: VisionTransformer) -> None:
    vit.register_parameter("prompt", nn.Parameter(torch.zeros(1, 4, 24)))


def with_an_mlp_head(vit: VisionTransformer) -> None:
    vit.head = nn.Sequential(nn.Linear(24, 24), nn.GELU(), nn.Linear(24, 3))


def with_another_scale(vit: VisionTransformer) -> None:
    vit.blocks[0].attn.scale = 1.0


def with_overlapping_patches(vit: VisionTransformer) -> None:
    vit.patch_embed.proj.stride = (8, 8)


def with_a_pruned_block(vit: VisionTransformer) -> None:
    vit.blocks[1].mlp = timm.layers.Mlp(24, 48)


def with_two_kinds_of_norm(vit: VisionTransformer) -> None:
    vit.blocks[0].norm2 = nn.LayerNorm(24, eps=1e-3)


def with_two_last_norms(vit: VisionTransformer) -> None:
    vit.fc_norm = nn.LayerNorm(24)


def with_a_norm_of_queries_alone(vit: VisionTransformer) -> None:
    vit.blocks[0].attn.q_norm = nn.LayerNorm(12)


def with_an_eps_by_dtype(vit: VisionTransformer) -> None:
    vit.norm_pre = nn.RMSNorm(24)


def with_positions_of_another_grid(vit: VisionTransformer) -> None:
    vit.pos_embed = nn.Parameter(torch.zeros(1, 5, 24))


def with_a_patched_method(vit: VisionTransformer) -> None:
    vit.forward_features = lambda x: x


def with_a_patched_part(vit: VisionTransformer) -> None:
    vit.blocks[1].forward = lambda x: x


def with_a_hook(vit: VisionTransformer) -> None:
    vit.blocks[0].register_forward_hook(lambda *_: None)


def with_a_parametrization(vit: VisionTransformer) -> None:
    nn.utils.parametrizations.weight_norm(vit.blocks[0].mlp.fc1)


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        (with_gate, "`blocks.1.attn.gate`"),
        (with_a_weight_more, "got `prompt`"),
        (with_an_mlp_head, "`head` must be a `Linear` or `Identity`; got a `Sequential`"),
        (with_another_scale, r"`blocks.0.attn.scale` must be 1 / sqrt(12); got 1.0"),
        (with_overlapping_patches, "got patches of 16 x 16 at a stride of (8, 8)"),
        (with_a_pruned_block, "got `d_mlp=48` in `blocks.1` and 96 in `blocks.0`"),
        (with_two_kinds_of_norm, "got two kinds in `blocks.0`"),
        (with_two_last_norms, "got `fc_norm` beside `norm`"),
        (with_a_norm_of_queries_alone, "got two kinds in `blocks.0.attn`"),
        (with_an_eps_by_dtype, "got None at `norm_pre`"),
        (with_positions_of_another_grid, "`pos_embed` must have a row for each of 197 positions"),
        (with_a_patched_method, "got another `forward_features` on the model"),
        (with_a_patched_part, "got another `forward` on `blocks.1`"),
        (with_a_hook, "got some on `blocks.0`. Remove them first."),
        (with_a_parametrization, "got a `ParametrizedLinear`"),
    ],
)
def test_a_changed_model_is_refused_for_what_was_changed(change, feature):
    vit = tiny()
    change(vit)
    assert feature in refusal(vit)


@pytest.mark.parametrize("method", ["forward", "forward_features", "forward_head", "_pos_embed"])
def test_a_subclass_with_a_forward_pass_of_its_own_is_refused(method):
    own = type("Own", (VisionTransformer,), {method: lambda self, x: x})
    assert f"`{method}` must be that of timm's `VisionTransformer`" in refusal(own(**TINY))


def test_a_timm_that_drops_the_class_token_is_refused(monkeypatch):
    monkeypatch.setattr(VisionTransformer, "_pos_embed", lambda _self, patches: patches)
    assert "must be 197 tokens all the same; got 196" in refusal(tiny(pos_embed="none"))


def test_weights_of_several_dtypes_are_refused():
    vit = tiny().half()
    vit.norm.float()
    assert "got torch.float16 on cpu, torch.float32 on cpu" in refusal(vit)


def test_weights_without_memory_are_refused():
    assert "got torch.float32 on meta" in refusal(tiny(device="meta"))


def test_a_module_of_another_kind_is_refused():
    message = refusal(nn.Linear(1, 1))
    assert "`from_module` takes a transformer of timm" in message
    assert "got Linear. Use `vt.wrap(module)`" in message


# -- Options


@pytest.mark.parametrize("option", [{"revision": "main"}, {"image_size": 32}])
def test_an_option_that_a_source_does_not_understand_is_refused(option):
    with pytest.raises(ValueError, match=f"`{next(iter(option))}` must be left out for 'digits'"):
        vt.load("digits", **option)


def test_a_processor_for_a_model_with_a_record_of_its_own_is_refused():
    with pytest.raises(TypeError, match="`processor` must be left out for a timm model"):
        vt.from_module(tiny(), processor=lambda image: image)


# -- Names


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UnknownNameError, match="No timm model is named 'vit_tiny_patch16_2'"):
        vt.load("timm:vit_tiny_patch16_2")
    with pytest.raises(UnknownNameError, match=r"Nearest: .*vit_tiny_patch16_224"):
        vt.load("timm:vit_tiny_patch16_2")


def test_an_unknown_checkpoint_of_a_known_name_gets_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Nearest: vit_tiny_patch16_224.augreg_in21k"):
        vt.load("timm:vit_tiny_patch16_224.augreg_in22k")


def test_a_name_without_a_source_gets_what_is_known():
    with pytest.raises(UnknownNameError, match=r"No model is named 'nothing'.*timm:NAME"):
        vt.load("nothing")


def fail(*_args, **_keywords):
    raise AssertionError("nothing may be downloaded")


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "resnet18", "vit_medium_patch16"])
def test_a_name_of_another_architecture_is_refused_before_any_download(name, monkeypatch):
    monkeypatch.setattr(_network.urllib.request, "urlopen", fail)
    with pytest.raises((UnsupportedModelError, UnknownNameError)) as error:
        vt.load(f"timm:{name}")
    assert "`vt.wrap(module)`" in str(error.value) or "Nearest" in str(error.value)


# -- Without a network


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))


def raising(error: Exception):
    def raise_it(*_args, **_keywords):
        raise error

    return raise_it


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_huge_patch14_gap_224.in1k_ijepa"])
def test_without_a_network_one_line_names_the_file_to_pass(name, monkeypatch, empty_cache):
    monkeypatch.setattr(_network.urllib.request, "urlopen", raising(OSError("no network")))
    with pytest.raises(WeightsError, match=r"can't be reached, .*Pass a file: `load") as error:
        vt.load(f"timm:{name}")
    assert f'`load("timm:{name}", weights="FILE.safetensors")`' in str(error.value)


def test_a_network_that_never_answers_is_given_up(monkeypatch, empty_cache):
    released = threading.Event()

    def never_answer(*_args, **_keywords):
        released.wait()
        raise OSError("too late")

    monkeypatch.setattr(_network, "_PATIENCE", 0.05)
    monkeypatch.setattr(_network.urllib.request, "urlopen", never_answer)
    with pytest.raises(WeightsError, match="can't be reached"):
        vt.load("timm:vit_tiny_patch16_224")
    released.set()


def breaking_off(create, *args, pretrained=False, **keywords):
    if pretrained:
        raise ConnectionError("half of it\nand a second line")
    return create(*args, **keywords)


def test_a_download_that_breaks_is_one_line(monkeypatch, empty_cache):
    monkeypatch.setattr(_timm_download, "answers", lambda _url: True)
    monkeypatch.setattr(timm, "create_model", functools.partial(breaking_off, timm.create_model))
    with pytest.raises(
        WeightsError, match=r"got ConnectionError \(half of it\). Pass a file.* or try again.$"
    ):
        vt.load("timm:vit_tiny_patch16_224")


def test_nothing_is_downloaded_where_that_is_switched_off(monkeypatch, empty_cache):
    monkeypatch.setattr(_network.urllib.request, "urlopen", fail)
    with pytest.raises(WeightsError, match=r"downloads are switched off, and.*Pass a file"):
        vt.load("timm:vit_tiny_patch16_224", local_files_only=True)


def test_a_revision_of_weights_outside_of_a_repository_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="`revision` must be left out for weights that lie in no"):
        vt.load("timm:vit_huge_patch14_gap_224.in1k_ijepa", revision="main")


def test_an_image_that_positions_do_not_fit_is_refused_before_any_download(monkeypatch):
    monkeypatch.setattr(_network.urllib.request, "urlopen", fail)
    with pytest.raises(UnsupportedModelError, match="`image_size` must have room for a patch"):
        vt.load("timm:vit_tiny_patch16_224", image_size=8)


def test_an_architecture_that_nobody_trained_says_so(monkeypatch):
    monkeypatch.setattr(_network.urllib.request, "urlopen", fail)
    with pytest.raises(WeightsError, match="must have pretrained weights; timm has none for it"):
        vt.load("timm:vit_base_patch32_plus_256")


# -- Files of weights


@pytest.fixture(scope="module")
def tensors():
    return timm.create_model("vit_tiny_patch16_224").state_dict()


def refused_file(tensors, tmp_path) -> str:
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as error:
        vt.load("timm:vit_tiny_patch16_224", weights=tmp_path / "w.safetensors")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_tensor_of_another_shape_is_named_as_in_the_file(tensors, tmp_path):
    changed = tensors | {"blocks.3.attn.qkv.weight": torch.zeros(2, 192)}
    assert (
        "`blocks.3.attn.qkv.weight` in `w.safetensors` must have shape [576, 192]; got [2, 192]."
        in refused_file(changed, tmp_path)
    )


def test_positions_of_another_image_size_are_named(tensors, tmp_path):
    changed = tensors | {"pos_embed": torch.zeros(1, 577, 192)}
    assert "`pos_embed` in `w.safetensors` must have shape [1, 197, 192]" in refused_file(
        changed, tmp_path
    )


def test_a_head_that_contradicts_itself_is_named(tensors, tmp_path):
    changed = tensors | {"head.weight": torch.zeros(5, 192)}
    assert "`head.bias` in `w.safetensors` must have shape [5]; got [1000]." in refused_file(
        changed, tmp_path
    )


def test_a_missing_tensor_is_named(tensors, tmp_path):
    changed = {name: value for name, value in tensors.items() if name != "head.weight"}
    assert "1 missing, first `head.weight`" in refused_file(changed, tmp_path)


def test_weights_of_another_architecture_are_refused(tmp_path):
    other = timm.create_model("resnet18").state_dict()
    assert "missing, first `blocks.0.attn.proj.bias`" in refused_file(other, tmp_path)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(WeightsError, match="must be a whole safetensors file"):
        vt.load("timm:vit_tiny_patch16_224", weights=tmp_path / "w.safetensors")


class Evil:
    """What a pickle of it does when it is read as Python would."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_a_pickle_s_code_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"head.weight": Evil()}, "w.pth")
    message = r"since a pickle may run code; it can't be read as one \(it calls `\w+\.mkdir`\)"
    with pytest.raises(WeightsError, match=message):
        vt.load("timm:vit_tiny_patch16_224", weights="w.pth")
    assert not Path("ran").exists()


def test_a_pickle_that_is_none_is_said_so(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"no pickle at all")
    with pytest.raises(WeightsError, match=r"can't be read as one \(UnpicklingError\)"):
        vt.load("timm:vit_tiny_patch16_224", weights=tmp_path / "w.pth")


def test_a_missing_file_is_named():
    with pytest.raises(WeightsError, match=r"nothing is at `missing.safetensors`"):
        vt.load("timm:vit_tiny_patch16_224", weights="missing.safetensors")
