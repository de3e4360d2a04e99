"""The registry says what the coverage script finds: a fixed sample of all families, built anew."""

import dataclasses
import json
import warnings

import pytest

from benchmarks._coverage_case import Case, Family
from benchmarks._results import FOLDER
from benchmarks.coverage import FAMILIES, PARITY, by_name, row, summary
from vitreous._registry import read_registry, registry_file

MODELS = list(read_registry(registry_file()))

SAMPLE = {
    "timm VisionTransformer": [
        "deit3_small_patch16_224",
        "deit_tiny_distilled_patch16_224",
        "flexivit_small",
        "vit_base_patch16_rpn_224",
        "vit_base_patch16_siglip_224",
        "vit_dpwee_patch16_reg1_gap_256",
        "vit_small_patch14_reg4_dinov2",
        "vit_tiny_patch16_224",
        "vit_tiny_r_s16_p8_224",
    ],
    "timm Eva": [
        "eva02_tiny_patch14_224",
        "vit_pe_core_tiny_patch16_384",
        "vit_small_patch16_dinov3",
    ],
    "timm Beit": ["beit_base_patch16_224"],
    "transformers image": [
        "BeitModel",
        "CLIPForImageClassification",
        "DINOv3ViTModel",
        "DeiTForImageClassificationWithTeacher",
        "Dinov2WithRegistersModel",
        "Siglip2VisionModel",
        "SiglipVisionModel",
        "ViTMAEModel",
        "ViTModel",
    ],
    "transformers video": [
        "TimesformerForVideoClassification",
        "VideoMAEForVideoClassification",
        "VivitModel",
    ],
    "transformers text": ["CLIPModel", "Siglip2TextModel"],
    "open_clip text": ["ViT-B-16-SigLIP", "ViT-B-32-quickgelu", "coca_ViT-B-32"],
    "open_clip image": ["EVA02-B-16", "ViT-B-16-SigLIP", "ViT-B-32-quickgelu", "coca_ViT-B-32"],
    "torchvision image": ["vit_b_16"],
}


def rows_of(family: Family) -> list:
    return [m for m in MODELS if (m.library, m.family) == (family.library, family.name)]


def test_the_sample_has_every_family():
    assert set(SAMPLE) == {family.title for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_a_sample_built_anew_gives_the_rows_on_record(family):
    cases, recorded = by_name(family), {model.name: model for model in rows_of(family)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, about random weights
        found = {name: row(family, name, cases[name]) for name in SAMPLE[family.title]}
    assert all(model.error <= PARITY for model in found.values() if model.loads)
    anew = {n: dataclasses.replace(m, error=recorded[n].error) for n, m in found.items()}
    assert anew == {name: recorded[name] for name in found}, "Run `make coverage-models`."


def test_the_names_on_record_are_those_that_the_libraries_have_now():
    known = {(f.title, name) for f in FAMILIES for name in by_name(f)}
    recorded = {(f"{model.library} {model.family}", model.name) for model in MODELS}
    vanished, new = sorted(recorded - known), sorted(known - recorded)
    assert not vanished and not new, "Run `make coverage-models`."


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_as_many_load_as_must(family):
    models = rows_of(family)
    assert sum(model.loads for model in models) >= family.target * len(models)


def test_the_results_are_those_of_the_registry():
    recorded = json.loads((FOLDER / "coverage.json").read_text(encoding="utf-8"))
    assert recorded["tables"] == summary(MODELS)


# ---- the script itself can fail


def case_of(**changes) -> Case:
    [case] = by_name(next(f for f in FAMILIES if f.title == "torchvision image"))["vit_b_32"]
    return case._replace(**changes)


def examined(case: Case):
    return row(Family("torchvision", "image", lambda: iter([case]), 1.0), case.name, [case])


def test_a_model_that_computes_something_else_is_a_failure():
    other = case_of(run=lambda model, images: model(images) * (1 + 1e-8))
    assert examined(other).reason == "differs by 1.0e-08"


def test_a_stream_that_differs_in_one_block_is_a_failure():
    shifted = case_of(blocks=lambda model: [*model.encoder.layers][::-1])
    assert examined(shifted).reason.startswith("differs by ")


def test_a_model_that_does_not_convert_says_why_and_keeps_its_size():
    def hooked():
        model = case_of().make()
        model.encoder.layers[0].register_forward_hook(lambda *_: None)
        return model

    model = examined(case_of(make=hooked))
    assert "must have no forward hooks" in model.reason
    assert (model.parameters, model.error) == (88224232, None)
