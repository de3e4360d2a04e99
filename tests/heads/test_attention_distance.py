"""How far heads look."""

import math
import statistics

import numpy as np
import pytest
import torch

from tests.tiny import images_of, random_model
from vitreous.data import Images
from vitreous.heads import attention_distance

SIZES = {
    "images": {"image_size": (12, 16), "patch_size": (4, 2)},
    "clips": {"n_frames": 4, "tubelet": 2, "image_size": (12, 8)},
    "registers": {"n_registers": 2, "image_size": (8, 12)},
}


def slow_distance(model, pattern, unit):
    """Of one head in one image: within frames, and in frames."""
    layout = model.layout
    _, rows, columns = layout.grid
    height, width = layout.patch_size if unit == "pixels" else (1, 1)
    far = between = mass = 0.0
    for query in range(layout.n_patches):
        for key in range(layout.n_patches):
            weight = pattern[query + layout.n_prefix][key + layout.n_prefix]
            down = (key // columns % rows - query // columns % rows) * height
            right = (key % columns - query % columns) * width
            far += weight * math.sqrt(down**2 + right**2)
            between += weight * abs(key // (rows * columns) - query // (rows * columns))
            mass += weight
    return far / mass, between / mass


@pytest.mark.parametrize("unit", ["patches", "pixels"])
@pytest.mark.parametrize("kind", SIZES)
def test_distance_is_its_definition(kind, unit):
    model = random_model(**SIZES[kind])
    pixels = images_of(model, 3)
    found = attention_distance(model, pixels, unit=unit, batch_size=2)
    with torch.no_grad():
        _, cache = model.run_with_cache(pixels)
    for layer in range(3):
        for head in range(4):
            patterns = cache["pattern", layer][:, head].tolist()
            values = [slow_distance(model, pattern, unit) for pattern in patterns]
            far, between = ([value[i] for value in values] for i in (0, 1))
            here = found.sel(layer=layer, head=head)
            expected = {"distance": statistics.fmean(far), "spread": statistics.stdev(far)}
            if kind == "clips":
                expected |= {"frames": statistics.fmean(between)}
                expected |= {"frames_spread": statistics.stdev(between)}
            assert {*here.data_vars} == {*expected, "chance"}
            for name, value in expected.items():
                np.testing.assert_allclose(here[name], value, rtol=0, atol=1e-10)
    uniform = [[1.0] * model.layout.n_tokens] * model.layout.n_tokens
    np.testing.assert_allclose(found["chance"], slow_distance(model, uniform, unit)[0])


def test_streamed_images_give_what_a_tensor_gives():
    model = random_model()
    pixels = images_of(model, 5)
    whole = attention_distance(model, pixels)
    streamed = attention_distance(model, Images.from_tensor(pixels, batch_size=2))
    np.testing.assert_allclose(whole["distance"], streamed["distance"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(whole["spread"], streamed["spread"], rtol=0, atol=1e-12)


def test_a_single_patch_is_at_no_distance():
    model = random_model(image_size=4)
    assert (attention_distance(model, images_of(model))["distance"] == 0).all()
