"""The shipped model `terrarium-repeats` is what its card says, and holds an induction head."""

import math
from functools import cache

import pytest
import torch

from vitreous.data import Batch
from vitreous.models import HookedViT, TransformerCache, load, shipped_folder
from vitreous.terrarium import Task
from vitreous.training import find_recipe, means

COUNT = 320  # whole turns of eight motifs


@pytest.fixture(scope="module")
def model() -> HookedViT:
    return load("terrarium-repeats")


@cache
def scenes() -> Batch:
    return find_recipe("terrarium-repeats").images("test")[:COUNT]


@pytest.fixture(scope="module")
def run(model) -> tuple[torch.Tensor, TransformerCache]:
    with torch.no_grad():
        return model.run_with_cache(scenes().pixels)


@cache
def lengths() -> list[tuple[int, int]]:
    """Of each scene, how many motifs it shows and after how many they start again."""
    rows = [Task("repeats", "test").scene(place).objects for place in range(COUNT)]
    return [(len(row), len({(thing.kind, thing.palette) for thing in row})) for row in rows]


def looks(cache: TransformerCache, layer: int, pairs: list[list[tuple[int, int]]]):
    """Attention of each head from one cell to others: summed in a scene, its mean over scenes."""
    pattern = cache["pattern", layer]
    first = cache.layout.n_prefix
    return torch.stack(
        [
            sum(pattern[image, :, first + query, first + key] for query, key in of_scene)
            for image, of_scene in enumerate(pairs)
        ]
    ).mean(0)


def test_the_first_scenes_agree_with_the_accuracy_on_its_card(model, run):
    told = model.card["tests"]["test"]["accuracy"]
    right = (run[0].argmax(-1) == scenes().labels).float().mean().item()
    assert abs(right - told) < 4 * math.sqrt(told * (1 - told) / COUNT) + 1 / COUNT
    assert told > 0.99


def test_its_means_are_those_of_the_first_training_pictures(model):
    recipe = find_recipe("terrarium-repeats")
    pixels = recipe.images("train")[: recipe.n_means].pixels
    expected = means(model, pixels, "*.hook_z", by="position")
    for point, value in model.means.values.items():
        torch.testing.assert_close(value, expected.values[point], rtol=1e-4, atol=1e-5)


def test_a_head_of_its_first_layer_looks_at_the_motif_before(run):
    pairs = [[(shown - 1, shown - 2)] for shown, _ in lengths()]
    assert looks(run[1], 0, pairs).max() > 0.8


def test_a_head_of_its_second_layer_looks_behind_the_earlier_copies_of_a_motif(run):
    behind = [
        [(shown - 1, cell) for cell in range(shown - period, -1, -period)]
        for shown, period in lengths()
    ]
    each = [len(cells) / (shown + 2) for cells, (shown, _) in zip(behind, lengths(), strict=True)]
    assert looks(run[1], 1, behind).max() > 0.95
    assert sum(each) / COUNT < 0.1  # where attention is even over all that is shown


def test_its_class_token_hears_of_the_answer_at_the_last_motif(run):
    last, first = run[1]["pattern", 3], run[1].layout.n_prefix
    heard = [last[image, :, 0, first + shown - 1] for image, (shown, _) in enumerate(lengths())]
    assert torch.stack(heard).mean(0).max() > 0.95


def test_it_takes_less_than_a_megabyte_and_a_half():
    files = (shipped_folder() / "terrarium-repeats").iterdir()
    assert sum(file.stat().st_size for file in files) < 1_500_000
