"""Lenses in the format of the package tuned-lens, as recorded from it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import random_model
from vitreous import WeightsError
from vitreous.lenses import TunedLens
from vitreous.lenses._reader import Reader
from vitreous.models import HookedViT, NormConfig, PoolingConfig

FOLDER = Path(__file__).parent / "tuned_lens_0_2_0"


def model_with_its_end() -> HookedViT:
    """A vision model that ends as the recorded model of texts does."""
    readings = load_file(FOLDER / "readings.safetensors")
    pooling = PoolingConfig("cls", NormConfig(eps=1e-5))
    model = random_model(head_bias=False, pooling=pooling).float()
    assert model.ln_final is not None and model.head.linear is not None
    with torch.no_grad():
        model.ln_final.w.copy_(readings["norm.weight"])
        model.ln_final.b.copy_(readings["norm.bias"])
        model.head.linear.weight.copy_(readings["head.weight"])
    return model


def test_a_lens_of_the_package_reads_what_it_reads_there():
    model, readings = model_with_its_end(), load_file(FOLDER / "readings.safetensors")
    lens, reader = TunedLens.from_package(FOLDER, model), Reader.of(model, None)
    for entered, (resid, expected) in enumerate(
        zip(readings["streams"], readings["read"], strict=True)
    ):
        translated = lens.translate(resid, entered - 1, model.layout)
        with torch.no_grad():
            read = reader.tokens(translated, range(7))
        assert (read - expected).abs().max() < 2e-5 * expected.abs().max()


def test_what_is_exported_is_what_the_package_writes(tmp_path):
    model = model_with_its_end()
    TunedLens.from_package(FOLDER, model).export(tmp_path / "lens", model)
    ours, theirs = (
        torch.load(each / "params.pt", weights_only=True) for each in (tmp_path / "lens", FOLDER)
    )
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    ours, theirs = (
        json.loads((each / "config.json").read_text()) for each in (tmp_path / "lens", FOLDER)
    )
    unlike = {name for name in theirs if ours[name] != theirs[name]}
    assert list(ours) == list(theirs)
    assert unlike <= {"base_model_name_or_path", "base_model_revision"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (random_model(n_layers=2), "with num_hidden_layers 2; got 3"),
        (random_model(), "with unembed_hash [0-9a-f]{64}; got [0-9a-f]{64}. Load the model"),
    ],
)
def test_a_folder_for_another_model_says_so(model, message):
    with pytest.raises(WeightsError, match=message):
        TunedLens.from_package(FOLDER, model)


def test_a_folder_that_holds_no_lens_says_so(tmp_path):
    with pytest.raises(WeightsError, match="must hold a lens of `tuned-lens`; it can't be read"):
        TunedLens.from_package(tmp_path, random_model())


def test_maps_of_their_own_for_groups_of_tokens_have_no_place_there(tmp_path):
    model = random_model()
    biases = {group: torch.zeros(3, 16) for group in ("cls", "patches")}
    with pytest.raises(ValueError, match="needs one map per layer for all tokens; got some for"):
        TunedLens(biases, None, None, {}).export(tmp_path, model)
