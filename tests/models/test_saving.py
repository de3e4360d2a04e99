"""A model saved to a folder is the model that is loaded from it."""

import os

import pytest
import torch

import vitreous as vt
from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.data import ClassNames, Preprocessing
from vitreous.models import HookedViT, weight_hash

LABELS = ClassNames(("cat", "dog", "fox, red fox", "crème brûlée", "eel"), tuple("🐱🐶🦊🍮🐍"))
PREPROCESSING = Preprocessing((12, 8), (0.5, 0.4, 0.3), (0.2, 0.2, 0.1), "lanczos", 1.0, "squash")


@pytest.fixture
def model() -> HookedViT:
    model = random_model(norm=vt.models.NormConfig("rms", 1e-3))
    model.labels, model.preprocessing = LABELS, PREPROCESSING
    model.card = {"name": "tiny", "accuracy": 0.97, "note": "größer", "seen": [1, {"a": None}]}
    return model


def saved_files(folder) -> list[str]:
    return sorted(os.listdir(folder))


def same_weights(a: HookedViT, b: HookedViT) -> bool:
    states = a.state_dict(), b.state_dict()
    return list(states[0]) == list(states[1]) and all(
        torch.equal(states[0][name], states[1][name]) for name in states[0]
    )


@pytest.mark.parametrize("readout", READOUTS)
def test_logits_of_a_saved_model_are_the_same_to_the_bit(readout, tmp_path):
    model = random_model(**READOUTS[readout])
    model.save_pretrained(tmp_path)
    loaded = vt.load(tmp_path, dtype=torch.float64)
    assert loaded.cfg == model.cfg
    assert torch.equal(loaded(images_of(model)), model(images_of(model)))


def test_a_model_with_a_stem_of_another_library_is_not_saved(tmp_path):
    stem = torch.nn.Conv2d(3, 16, 4, 4)
    model = HookedViT(random_model().cfg.replace(stem=True), stem=stem)
    with pytest.raises(ValueError, match="got one with a stem of another library") as refused:
        model.save_pretrained(tmp_path / "new")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "new").exists()


def test_labels_preprocessing_and_card_come_back(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = vt.load(tmp_path)
    assert loaded.labels == LABELS
    assert loaded.preprocessing == PREPROCESSING
    assert loaded.card == model.card | {"weight_hash": weight_hash(loaded)}
    assert loaded.target("crème brûlée", minus="red fox").name == "crème brûlée - fox, red fox"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_a_weight_that_is_too_large_for_the_type_is_named_before_anything_is_written(
    dtype, tmp_path
):
    model = random_model()
    with torch.no_grad():
        model.blocks[1].mlp.fc_in.weight[3, 2] = -70000
    limit = f"{torch.finfo(dtype).max:g}"
    with pytest.raises(
        ValueError, match=rf"`blocks.1.mlp.fc_in.weight` must fit .* up to {limit};"
    ):
        model.save_pretrained(tmp_path / "model", dtype=dtype)
    assert not list(tmp_path.iterdir())
    model.save_pretrained(tmp_path / "model", dtype=torch.bfloat16)


def test_a_weight_that_was_not_finite_is_saved_as_it_is(tmp_path):
    model = random_model()
    with torch.no_grad():
        model.ln_final.b[0], model.ln_final.b[1] = float("inf"), float("nan")
    model.save_pretrained(tmp_path, dtype=torch.float16)
    assert vt.load(tmp_path).ln_final.b[:2].isfinite().tolist() == [False, False]


def test_a_model_that_knows_nothing_of_itself_comes_back_as_such(tmp_path):
    random_model().save_pretrained(tmp_path)
    loaded = vt.load(tmp_path)
    assert loaded.labels is loaded.preprocessing is loaded.means is None
    assert loaded.card == {"name": str(tmp_path), "weight_hash": weight_hash(loaded)}


@pytest.mark.parametrize("by", [None, "position"])
def test_means_come_back(model, by, tmp_path):
    model.means = vt.means(model, random_images(4), ["blocks.1.attn.hook_z"], by=by)
    model.save_pretrained(tmp_path)
    means = vt.load(tmp_path).means
    assert means is not None
    for field in ("by", "axes", "count", "description"):
        assert getattr(means, field) == getattr(model.means, field)
    assert torch.equal(
        means.values["blocks.1.attn.hook_z"], model.means.values["blocks.1.attn.hook_z"]
    )


def test_means_of_a_model_that_lay_there_before_do_not_stay(model, tmp_path):
    model.means = vt.means(model, random_images(4), ["blocks.1.attn.hook_z"])
    model.save_pretrained(tmp_path)
    random_model(seed=5).save_pretrained(tmp_path)
    assert saved_files(tmp_path) == ["config.json", "model.safetensors"]
    assert vt.load(tmp_path).means is None


def test_weights_can_be_stored_in_half_precision(model, tmp_path):
    model.save_pretrained(tmp_path / "half", dtype=torch.float16)
    model.float().save_pretrained(tmp_path / "whole")
    halved = vt.load(tmp_path / "half")
    assert same_weights(halved, model.half().float())
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "whole")]
    n_weights = sum(p.numel() for p in model.parameters())
    assert sizes[1] - sizes[0] >= 2 * n_weights - 100  # headers differ by a few bytes
    assert halved.embedding.patch.weight.dtype == torch.float32


def test_saving_changes_nothing_in_the_model(model, tmp_path):
    before, card = weight_hash(model), dict(model.card)
    model.train().save_pretrained(tmp_path, dtype=torch.bfloat16)
    assert weight_hash(model) == before
    assert model.card == card and model.training


def test_a_model_is_loaded_in_evaluation_mode_and_the_dtype_that_is_asked_for(model, tmp_path):
    model.train().save_pretrained(tmp_path)
    loaded = vt.load(tmp_path, dtype=torch.bfloat16)
    assert not loaded.training
    assert {p.dtype for p in loaded.parameters()} == {torch.bfloat16}


def test_other_weights_can_be_read_into_a_saved_model(model, tmp_path):
    model.save_pretrained(tmp_path / "a")
    other = random_model(seed=7, norm=model.cfg.norm)
    other.save_pretrained(tmp_path / "b")
    weights = tmp_path / "b" / "model.safetensors"
    loaded = vt.load(tmp_path / "a", weights=weights, dtype=torch.float64)
    assert same_weights(loaded, other)
    assert loaded.labels == LABELS


def test_folders_are_made_on_the_way(model, tmp_path):
    model.save_pretrained(str(tmp_path / "new" / "folder"))
    assert saved_files(tmp_path / "new" / "folder") == ["config.json", "model.safetensors"]


def test_weights_that_share_or_stride_their_memory_are_saved(tmp_path):
    model, shared = random_model(), torch.nn.Parameter(torch.zeros(16, 40).double()[:, ::2])
    model.blocks[0].mlp.fc_out.weight = model.blocks[1].mlp.fc_out.weight = shared
    model.save_pretrained(tmp_path)
    assert same_weights(vt.load(tmp_path, dtype=torch.float64), model)


def test_the_description_reads_the_same_in_every_locale(model, tmp_path):
    model.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_bytes().decode("utf-8")
    assert "🦊" in text and "größer" in text


# ---- whole or not at all


class Full(Exception):
    pass


@pytest.mark.parametrize("kept", ["config.json", "model.safetensors"])
def test_a_save_that_breaks_off_leaves_every_file_whole(model, kept, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in saved_files(tmp_path)}

    def break_off(source, target):
        if os.path.basename(target) == kept:
            raise Full
        replace(source, target)

    replace = os.replace
    monkeypatch.setattr(os, "replace", break_off)
    with pytest.raises(Full):
        random_model(seed=3).save_pretrained(tmp_path)
    assert saved_files(tmp_path) == ["config.json", "model.safetensors"]
    assert (tmp_path / kept).read_bytes() == before[kept]


def test_a_card_that_can_not_be_saved_is_noticed_before_anything_is_written(model, tmp_path):
    model.card["accuracy"] = torch.tensor(0.9)
    with pytest.raises(TypeError, match=r"`model\.card` must hold plain values"):
        model.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()


# ---- the hash


def test_the_hash_of_weights_tells_models_apart():
    model = random_model()
    assert weight_hash(model) == weight_hash(random_model())
    assert weight_hash(model) != weight_hash(random_model(seed=1))
    assert len(weight_hash(model)) == 12


def test_the_hash_of_weights_sees_one_bit(model):
    before = weight_hash(model)
    weight = model.head.linear.weight.detach()
    weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(9.0).double())
    assert weight_hash(model) != before
    assert weight_hash(model.float()) != weight_hash(model.half())
