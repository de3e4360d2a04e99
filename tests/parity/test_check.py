"""`model.check(source=...)` says yes to a model that is its source, and where it isn't, where."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.transformer import LayerNormFp32
from timm.layers import AttentionPoolLatent
from torch import Tensor, nn

import vitreous as vt
from tests.parity import (
    test_open_clip,
    test_timm,
    test_timm_families,
    test_torchvision,
    transformers_models,
)
from tests.parity.test_transformers_files import OLD, renamed, rewrite
from vitreous.models import ParityReport, load_with_original
from vitreous.models._mlp import ACTIVATIONS
from vitreous.models._parity import parity as compare
from vitreous.models.adapters import _transformers
from vitreous.models.adapters._options import Weights


def of_timm(name: str) -> Callable[[], Any]:
    return lambda: test_timm.random_vit(*test_timm.ARCHITECTURES[name])


def of_family(name: str) -> Callable[[], Any]:
    return lambda: copy.deepcopy(test_timm_families.source_of(name))


def of_transformers(case: str) -> Callable[[], Any]:
    return lambda: transformers_models.random_model(case)


def of_open_clip(name: str) -> Callable[[], Any]:
    return lambda: test_open_clip.random_tower(test_open_clip.TOWERS[name])


def of_trunk(name: str) -> Callable[[], Any]:
    return lambda: test_open_clip.random_trunk(test_open_clip.TRUNKS[name])


def pooled_with_qk_norm() -> Any:
    """Attention pooling with another number of heads than the blocks have."""
    source = test_timm.random_vit("vit_tiny_patch16_224", {"global_pool": "avg", "fc_norm": False})
    source.global_pool, source.pool_include_prefix = "map", True
    source.attn_pool = AttentionPoolLatent(36, num_heads=2, qk_norm=True)
    return test_timm.randomize(source.double().eval())


STREAM = {"hook_full_embed", "blocks.*.hook_resid_pre", "blocks.*.hook_resid_post", "output"}
NORMS = {"blocks.*.ln1.hook_normalized", "blocks.*.ln2.hook_normalized"}
BLOCK = {f"blocks.*.{name}" for name in ("hook_attn_out", "hook_resid_mid", "hook_mlp_out")}
NEURONS = {"blocks.*.mlp.hook_pre", "blocks.*.mlp.hook_post"}
HEADS = {f"blocks.*.attn.hook_{x}" for x in "qkvz"}
FUSED = STREAM | NORMS | BLOCK | NEURONS  # PyTorch's own attention shows no heads
ALL = FUSED | HEADS
QK_NORMS = {f"blocks.*.attn.{x}_norm.hook_normalized" for x in "qk"}
FINAL, HEAD = {"hook_ln_final"}, {"pre_logits"}
COCA = {f"pooling.map.hook_{name}" for name in ("attn_out", "pooled")}
MAP_MLP = {f"pooling.map.{name}" for name in ("norm.hook_normalized", "hook_mlp_out")}
MAP = COCA | MAP_MLP | {f"pooling.map.mlp.hook_{name}" for name in ("pre", "post")}
MAP_HEADS = {f"pooling.map.hook_{name}" for name in "kvz"}
MID = {"blocks.*.mlp.hook_mid"}
GATED = {"blocks.*.mlp.hook_pre_linear"} | MID
MLP_NORM = {"blocks.*.mlp.norm.hook_normalized"} | MID
Z_NORM = {"blocks.*.attn.z_norm.hook_normalized"}
NORMS_BEHIND = {f"blocks.*.{part}.out_norm.hook_normalized" for part in ("attn", "mlp")}
BIASED_V = {"blocks.*.attn.hook_v"}

# A source, and the kinds of values that it shows.
SOURCES: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "timm": (of_timm("plain"), ALL | FINAL | HEAD),
    "timm, LayerScale": (of_timm("dinov2 with registers"), ALL | FINAL | HEAD),
    "timm, distilled": (of_timm("distilled"), ALL | FINAL),
    "timm, norm behind": (of_timm("registers, mean, norm behind"), ALL | FINAL | HEAD),
    "timm, qk-norm": (of_timm("qk-norm, rms"), ALL | FINAL | HEAD | QK_NORMS),
    "timm, clip": (of_timm("clip"), ALL | FINAL | HEAD | {"hook_ln_pre"}),
    "timm, siglip": (
        of_family("vit_base_patch32_siglip_256"),
        ALL | FINAL | HEAD | MAP | MAP_HEADS,
    ),
    "timm, pooling with qk-norm": (
        pooled_with_qk_norm,
        ALL | FINAL | HEAD | (MAP - {"pooling.map.norm.hook_normalized"}) | MAP_HEADS
        | {"pooling.map.k_norm.hook_normalized"},
    ),
    "timm, gated": (
        of_family("vitamin_small_224"),
        ALL | FINAL | HEAD | GATED | {"blocks.*.mlp.in_norm.hook_normalized"},
    ),
    "timm, several attentions": (
        of_family("vit_small_patch16_18x2_224"),
        STREAM | FINAL | HEAD | {"blocks.*.hook_resid_mid"},
    ),
    "timm, side by side": (
        of_family("vit_pwee_patch16_reg1_gap_256"),
        STREAM | FINAL | HEAD
        | {f"blocks.*.{name}" for name in ("ln1.hook_normalized", "attn.hook_q", "attn.hook_k")},
    ),
    "timm, norms behind": (
        of_family("vit_base_patch16_rpn_224"),
        (ALL - NORMS) | FINAL | HEAD | NORMS_BEHIND,
    ),
    "timm, eva": (
        of_family("eva02_base_patch16_clip_224"),
        ALL | FINAL | HEAD | GATED | MLP_NORM | Z_NORM,
    ),
    "timm, dinov3": (of_family("vit_small_patch16_dinov3_qkvb"), (ALL - BIASED_V) | FINAL | HEAD),
    "timm, beit": (
        of_family("beit_base_patch16_224"),
        (ALL - HEADS) | FINAL | HEAD | {"blocks.*.attn.hook_z"},
    ),
    "transformers, vit": (of_transformers("vit classifier"), ALL | FINAL | HEAD),
    "transformers, mae": (of_transformers("mae"), ALL | FINAL),
    "transformers, dinov2": (of_transformers("dinov2 classifier"), ALL | FINAL | HEAD),
    "transformers, dinov3": (of_transformers("dinov3, gated"), ALL | FINAL | GATED),
    "transformers, beit": (of_transformers("beit, both biases"), ALL | FINAL),
    "transformers, clip": (
        of_transformers("clip, both towers"),
        ALL | HEAD | {"hook_ln_pre"},
    ),
    "transformers, siglip": (of_transformers("siglip"), ALL | FINAL | MAP),
    "transformers, siglip 2": (of_transformers("siglip 2 classifier"), ALL | FINAL | HEAD),
    "open_clip": (of_open_clip("clip, quick gelu"), FUSED | FINAL | {"hook_ln_pre"}),
    "open_clip, norms inside": (
        lambda: test_open_clip.random_tower({"scale_attn_inner": True, "scale_fc": True}),
        FUSED | FINAL | {"hook_ln_pre", "blocks.*.attn.hook_z"} | MLP_NORM | Z_NORM,
    ),
    "open_clip, coca": (
        of_open_clip("coca, other width"),
        FUSED | FINAL | {"hook_ln_pre"} | COCA,
    ),
    "open_clip, a trunk of timm's": (of_trunk("with a projection"), ALL | FINAL | HEAD),
    "torchvision": (test_torchvision.random_vit, FUSED | FINAL | HEAD),
}  # fmt: skip


def parity(model: vt.HookedViT, source: nn.Module, images: Tensor | None = None) -> ParityReport:
    """The table alone, without the identities."""
    generator = torch.Generator().manual_seed(0)
    return compare(model, source, model.random_inputs(2, generator) if images is None else images)


@pytest.mark.parametrize(("make", "kinds"), SOURCES.values(), ids=SOURCES)
def test_a_converted_model_in_float32_is_its_source(make, kinds):
    source = make().float()
    report = parity(vt.from_module(source, tower="image"), source)
    assert report, report
    assert {row.kind for row in report.rows} == kinds


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", ["timm, LayerScale", "transformers, dinov3", "open_clip, coca"])
def test_a_converted_model_in_another_precision_is_its_source(name, dtype):
    source = SOURCES[name][0]().to(dtype)
    report = parity(vt.from_module(source), source)
    assert report, report


def test_tokens_first_are_brought_into_our_order():
    torch.manual_seed(0)
    source = test_open_clip.random_tower({})
    source.transformer.batch_first = False
    for block in source.transformer.resblocks:
        block.attn.batch_first = False
    report = parity(vt.from_module(source), source)
    assert report and {row.kind for row in report.rows} == SOURCES["open_clip"][1], report


def test_norms_of_mixed_precision_run_in_the_precision_that_is_compared():
    source = open_clip.transformer.VisionTransformer(
        32, 16, 24, 2, 2, 4.0, output_dim=12, norm_layer=LayerNormFp32
    ).eval()
    assert parity(vt.from_module(source), source)


# ---- from a name


@pytest.mark.parametrize("case", ["dinov2 with registers, gated classifier", "clip, both towers"])
def test_transformers_itself_reads_the_files_that_are_compared(case, tmp_path, capfd):
    transformers_models.random_model(case).float().save_pretrained(tmp_path)
    capfd.readouterr()
    model, original = load_with_original(f"hf:{tmp_path}", tower="image")
    assert original is not None
    source = original()
    assert capfd.readouterr() == ("", "")  # no bar, no report
    report = parity(model, source)
    assert report, report


def test_names_of_older_versions_are_read_by_transformers_too(tmp_path):
    module = transformers_models.random_model("vit classifier").float()
    module.save_pretrained(tmp_path)
    rewrite(tmp_path, lambda saved: renamed(saved, OLD["vit classifier"]))
    model, original = load_with_original(f"hf:{tmp_path}")
    assert original is not None and parity(model, original())


def test_weights_that_transformers_does_not_find_are_named():
    skeleton = transformers_models.random_model("vit")
    with pytest.raises(vt.WeightsError, match=r"find all weights of `x`.* first `embeddings\."):
        _transformers.original(skeleton, Weights({}, "`x`"), _transformers.is_unread)


def test_a_model_without_a_library_has_no_original():
    assert load_with_original("digits").original is None


# ---- what is wrong, and where


def nudged(name: str) -> Callable[[vt.HookedViT], None]:
    def nudge(model: vt.HookedViT) -> None:
        with torch.no_grad():
            model.get_parameter(name).view(-1)[0] += 1e-4

    return nudge


def another_eps(part: str) -> Callable[[vt.HookedViT], None]:
    def change(model: vt.HookedViT) -> None:
        norm: Any = model.get_submodule(part)
        norm.config = dataclasses.replace(norm.config, eps=1e-5)

    return change


def exact_gelu(model: vt.HookedViT) -> None:
    model.blocks[0].mlp.activation = ACTIVATIONS["gelu"]


def another_scale(model: vt.HookedViT) -> None:
    model.blocks[1].attn.attn_scale *= 1.0001


def other_turn(model: vt.HookedViT) -> None:
    model.rotary.sin.neg_()


MISTAKES = {
    "patches": ("timm", nudged("embedding.patch.weight"), "hook_full_embed"),
    "a position": ("timm", nudged("embedding.pos"), "hook_full_embed"),
    "queries": ("timm", nudged("blocks.1.attn.qkv.weight"), "blocks.1.attn.hook_q"),
    "W_O": ("timm", nudged("blocks.0.attn.out.weight"), "blocks.0.hook_attn_out"),
    "W_O, LayerScale in it": (
        "timm, LayerScale",
        nudged("blocks.1.attn.out.weight"),
        "blocks.1.hook_attn_out",
    ),
    "W_out": ("transformers, beit", nudged("blocks.1.mlp.fc_out.bias"), "blocks.1.hook_mlp_out"),
    "the head": ("timm", nudged("head.linear.weight"), "output"),
    "a learned query": (
        "timm, siglip",
        nudged("pooling.map.query"),
        "pooling.map.hook_z",
    ),
    "eps": ("timm", another_eps("blocks.1.ln1"), "blocks.1.ln1.hook_normalized"),
    "eps of the last norm": ("transformers, vit", another_eps("ln_final"), "hook_ln_final"),
    "GELU for QuickGELU": ("open_clip", exact_gelu, "blocks.0.mlp.hook_post"),
    "the scale of scores": ("timm", another_scale, "blocks.1.attn.hook_z"),
    "a turn the other way": ("transformers, dinov3", other_turn, "blocks.0.attn.hook_z"),
}


@pytest.mark.parametrize(("name", "mistake", "where"), MISTAKES.values(), ids=MISTAKES)
def test_a_model_that_is_not_its_source_differs_from_there_on(name, mistake, where):
    source = SOURCES[name][0]().float()
    model = vt.from_module(source)
    mistake(model)
    report = parity(model, source)
    first = report.first_difference
    assert not report and first is not None and first.name == where, report
    assert f"the first in forward order is {where}." in str(report)


def test_a_check_is_no_better_than_its_comparison():
    source = of_timm("plain")().float()
    model = vt.from_module(source)
    good = model.check(source=source)
    assert good and good.parity is not None
    assert str(good) == f"{good.parity}\n\n{model.check()}"
    nudged("embedding.pos")(model)
    bad = model.check(source=source)
    assert not bad and all(row.holds for row in bad.rows) and model.check()


def test_a_float32_path_that_is_less_exact_than_the_sources_differs(monkeypatch):
    source = of_timm("plain")().float()
    model = vt.from_module(source)
    write = type(model.blocks[0].mlp).write

    def coarse(self: Any, post: Tensor) -> Tensor:
        written = write(self, post)
        return written if written.dtype == torch.float64 else written * (1 + 1e-5)

    monkeypatch.setattr(type(model.blocks[0].mlp), "write", coarse)
    report = parity(model, source)
    first = report.first_difference
    assert first is not None and first.name == "blocks.0.hook_mlp_out"
    assert first.float64 <= 1e-10 and first.float32 > first.allowed_float32


def test_a_model_of_nan_differs():
    source = of_timm("plain")()
    model = vt.from_module(source)
    nn.init.constant_(model.blocks[1].mlp.fc_in.weight, float("nan"))
    first = parity(model, source).first_difference
    assert first is not None and first.name == "blocks.1.mlp.hook_pre"


# ---- the report


@pytest.fixture(scope="module")
def report() -> ParityReport:
    source = of_timm("plain")().float()
    return parity(vt.from_module(source), source)


def test_a_table_has_one_line_for_each_kind_of_value(report):
    lines = str(report).splitlines()
    assert lines[0] == "Equality with timm's VisionTransformer on 2 images"
    assert len(lines) == 3 + len(ALL | FINAL | HEAD)
    assert lines[2].split()[0] == "hook_full_embed" and lines[2].endswith("agrees")
    assert lines[-1].startswith(f"All {len(report.rows)} values agree. Not seen in the source: ")
    assert "hook_attn_scores" in lines[-1] and "hook_resid_mid" not in lines[-1]


def test_the_page_shows_the_table_as_it_is_printed():
    source = of_timm("deit-3")().float()
    page = (Path(__file__).parents[2] / "docs" / "same_model.md").read_text(encoding="utf-8")
    table = page.split("```text\n")[1].splitlines()
    printed = str(parity(vt.from_module(source), source)).splitlines()
    assert table[:2] == printed[:2]
    columns = len("blocks.*.ln1.hook_normalized")
    assert [line[:columns] for line in table[2:19]] == [line[:columns] for line in printed[2:19]]
    assert table[19].partition(". ")[2] == printed[19].partition(". ")[2]


def test_the_line_of_a_kind_is_its_worst_layer(report):
    bad = dataclasses.replace(report.rows[-1], name="blocks.7.hook_resid_mid", float64=1e-3)
    with_bad = dataclasses.replace(report, rows=(*report.rows, bad))
    (worst,) = [row for row in with_bad.worst() if row.kind == bad.kind]
    assert worst is bad and worst.layer == "7"
    assert "DIFFERS" in str(with_bad) and f"1 of {len(with_bad.rows)} values differ" in str(
        with_bad
    )


def test_all_rows_are_there_as_columns(report):
    columns = report.to_dict()
    assert columns["name"] == [row.name for row in report.rows]
    assert columns["name"].index("blocks.0.hook_mlp_out") < columns["name"].index(
        "blocks.1.attn.hook_q"
    )
    assert all(columns["holds"]) and set(columns["allowed_float64"]) == {1e-10}


def test_what_is_allowed_in_float32_is_twice_the_sources_largest_error_so_far(report):
    largest = 0.0
    for row in report.rows:
        largest = max(largest, row.source_float32)
        assert row.allowed_float32 == 2 * largest > 0


def test_a_check_leaves_both_as_they_were():
    source = of_transformers("vit")().float().train()
    source.config._attn_implementation = "eager"
    model = vt.from_module(source).train()
    model.add_hook("hook_embed", lambda value, hook: value * 0)
    before = [{n: t.clone() for n, t in each.state_dict().items()} for each in (model, source)]
    assert model.check(source=source)
    for each, state in zip((model, source), before, strict=True):
        assert each.training
        assert all(torch.equal(t, state[name]) for name, t in each.state_dict().items())
    assert not any(part._forward_hooks for part in source.modules())
    assert len(model.hook_dict["hook_embed"].fwd_hooks) == 1
    assert source.config._attn_implementation == "eager"


def test_both_are_run_on_the_given_images():
    source = of_timm("plain")().float()
    model = vt.from_module(source)
    images = torch.zeros(3, 3, 64, 64)
    seen: list[Tensor] = []
    handle = type(source).forward

    def forward(self: Any, x: Tensor) -> Tensor:
        seen.append(x)
        return handle(self, x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(source), "forward", forward)
        assert parity(model, source, images).on == "3 images"
    assert {x.dtype for x in seen} == {torch.float64, torch.float32}
    assert all(torch.equal(x, images.to(x)) for x in seen)
