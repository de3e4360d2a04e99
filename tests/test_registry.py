"""`vt.list_models`: what loads, as values and as a table."""

import math
import re

import pytest

import vitreous as vt
from vitreous._registry import (
    KnownModel,
    ModelTable,
    every_model,
    read_registry,
    registry_file,
    short,
    write_registry,
)

SIZES = ("parameters", "tokens", "layers", "width", "heads")


@pytest.mark.parametrize("name", vt.models.shipped_models())
def test_a_shipped_model_is_listed_as_it_is(name):
    [listed] = [model for model in vt.list_models(library="shipped") if model.name == name]
    model = vt.load(listed.load_as)
    assert listed.parameters == sum(each.numel() for each in model.parameters())
    assert listed.tokens == model.layout.n_tokens
    assert listed.image == "x".join(map(str, model.cfg.image_shape))
    cfg = model.cfg
    assert (listed.layers, listed.width, listed.heads) == (cfg.n_layers, cfg.d_model, cfg.n_heads)
    assert listed.readout == cfg.pooling.kind


def test_every_row_is_well_formed():
    models = every_model()
    assert len({(m.library, m.family, m.name) for m in models}) == len(models) > 400
    for model in models:
        sizes = [getattr(model, name) for name in SIZES]
        assert all(size is None or size > 0 for size in sizes)
        if model.loads:
            assert None not in sizes and model.readout
            pixels = re.fullmatch(r"\d+(x\d+)+", model.image or "")
            assert pixels or (model.family == "text" and model.image is None)
            assert (model.error is None) == (model.library == "shipped")
            assert model.error is None or 0 <= model.error <= 1e-10
        else:
            assert model.error is None and "\n" not in model.reason


def test_the_file_is_small():
    assert registry_file().stat().st_size < 150_000


def test_rows_survive_writing_and_reading(tmp_path):
    models = [
        KnownModel("timm", "Eva", "eva", 5, "8x16", 3, 2, 4, 2, "cls", 1.6e-15),
        KnownModel("timm", "Eva", "other", 7, reason="`a` must be a \"b\"; got 'c'"),
    ]
    write_registry(tmp_path / "registry.tsv", models)
    assert list(read_registry(tmp_path / "registry.tsv")) == models


def test_all_words_must_occur_wherever_they_stand():
    found = vt.list_models("DINOv2 timm base")
    assert found and all("dinov2" in m.name and m.library == "timm" for m in found)
    assert vt.list_models("timm:vit_tiny_patch16_224")[0].name == "vit_tiny_patch16_224"


def test_filters_leave_what_fits_all_of_them():
    found = vt.list_models("siglip", library="open_clip", readout="map")
    assert found
    assert {(model.library, model.readout) for model in found} == {("open_clip", "map")}
    assert vt.list_models("vit_tiny_patch16_224", readout="map") == ()


def test_those_that_do_not_load_say_why():
    failed = vt.list_models(failed=True)
    assert failed and all(model.reason for model in failed)
    assert set(failed) < set(vt.list_models())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"search": "vit_base_patch61_224"}, "Nearest: vit_base_patch16_224"),
        ({"library": "tim"}, "No library is named 'tim'. Nearest: timm. There are: shipped, timm,"),
        ({"readout": "clz"}, "No readout is named 'clz'. Nearest: cls. There are: cls, mean,"),
    ],
)
def test_what_nothing_has_raises_and_names_the_nearest(arguments, message):
    with pytest.raises(vt.UnknownNameError) as raised:
        vt.list_models(**arguments)
    assert message in str(raised.value)


def test_it_prints_as_a_table():
    table = ModelTable(
        [
            KnownModel("timm", "Eva", "eva", 86_567_656, "8x16", 197, 2, 4, 2, "cls", 1.6e-15),
            KnownModel("timm", "Eva", "glass", 5, "8x16", 3, 2, 4, 2, "map", 0.0),
            KnownModel("shipped", "image", "digits", 1_000, "8x8", 65, 2, 4, 2, "cls"),
            KnownModel("timm", "Eva", "other", 22_000_000_000, reason="it has no `b`"),
        ]
    )
    assert str(table).splitlines() == [
        "library  family  architecture  parameters  tokens  readout  verified",
        "timm     Eva     eva                86.6M     197  cls      2e-15",
        "timm     Eva     glass                  5       3  map      0",
        "shipped  image   digits             1.00k      65  cls      made here",
        "timm     Eva     other              22.0B                   no: it has no `b`",
    ]


@pytest.mark.parametrize(
    "count", [1, 999, 1_000, 12_345, 999_499, 999_501, 999_999, 86_567_656, 1_136_480_768]
)
def test_short_counts_keep_three_digits(count):
    text = short(count)
    factor = {"k": 1e3, "M": 1e6, "B": 1e9}.get(text[-1], 1)
    assert math.isclose(float(text.rstrip("kMB")) * factor, count, rel_tol=0.005)
    assert len(text) <= 5


def test_every_library_says_how_a_model_of_it_is_loaded():
    ways = {model.library: model.load_as for model in reversed(every_model())}
    assert ways["shipped"] in vt.models.shipped_models()
    prefixes = {way.partition(":")[0] for library, way in ways.items() if library != "shipped"}
    assert prefixes == {*vt.models.adapters.LOADERS} - {"prisma"}
