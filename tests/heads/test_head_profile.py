"""One head in numbers."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_model
from vitreous.data import Images
from vitreous.heads import head_profile


def run_of(model, pixels):
    with torch.no_grad():
        return model.run_with_cache(pixels)[1]


@pytest.mark.parametrize("kind", READOUTS)
def test_means_and_the_strongest_are_those_of_a_whole_run(kind):
    model = random_model(**READOUTS[kind])
    pixels = images_of(model, 5)
    found = head_profile(model, pixels, 1, 2, count=4, batch_size=2)
    cache = run_of(model, pixels)
    pattern = cache["pattern", 1][:, 2]
    norms = cache["blocks.1.attn.hook_result"][:, :, 2].norm(dim=-1)
    first = model.layout.n_prefix

    def close(name, expected):
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-10, err_msg=name)

    if model.layout.cls:
        close("by_cls", pattern[:, 0].mean(0))
    else:
        assert found["by_cls"].isnull().all()
    close("received", pattern.mean((0, 1)))
    close("norm", norms.mean(0))
    order = norms.mean(1).argsort(descending=True)[:4]
    assert found["top_image"].values.tolist() == order.tolist()
    close("top_image_norm", norms.mean(1)[order])
    patches = norms[:, first:].flatten()
    best = patches.argsort(descending=True)[:4]
    image, patch = best // model.layout.n_patches, best % model.layout.n_patches
    assert found["top_patch_image"].values.tolist() == image.tolist()
    names = model.layout.names()
    assert found["top_patch"].values.tolist() == [names[first + p] for p in patch.tolist()]
    close("top_patch_norm", patches[best])
    close("top_patch_pattern", pattern[image, first + patch])


def test_the_pattern_by_offset_is_a_mean_over_pairs_of_patches():
    model = random_model(image_size=(12, 16))
    pixels = images_of(model, 3)
    found = head_profile(model, pixels, 0, 1)["by_offset"]
    pattern = run_of(model, pixels)["pattern", 0][:, 1].mean(0)
    layout = model.layout
    for down in range(-2, 3):
        for right in range(-3, 4):
            pairs = [
                float(pattern[layout.index(r, c), layout.index(r + down, c + right)])
                for r in range(3)
                for c in range(4)
                if 0 <= r + down < 3 and 0 <= c + right < 4
            ]
            here = float(found.sel(row_offset=down, column_offset=right))
            assert abs(here - sum(pairs) / len(pairs)) < 1e-12


def test_clips_have_offsets_in_frames():
    model = random_model(**READOUTS["clips in tubelets, read at the first token"])
    found = head_profile(model, images_of(model), 0, 0)["by_offset"]
    assert dict(found.sizes) == {"frame_offset": 3, "row_offset": 5, "column_offset": 3}
    divided = random_model(**READOUTS["clips, attention over time and over space"])
    space = head_profile(divided, images_of(divided), 0, 0)["by_offset"]
    assert space.sel(frame_offset=1).isnull().all() and space.sel(frame_offset=0).notnull().all()


def test_streamed_images_give_what_a_tensor_gives():
    model = random_model()
    pixels = images_of(model, 5)
    whole = head_profile(model, pixels, -1, -1)
    streamed = head_profile(model, Images.from_tensor(pixels, batch_size=2), 2, 3)
    assert whole.attrs == streamed.attrs == {"head": "L2H3", "images": 5}
    for name in whole.data_vars:
        if name != "top_patch":
            np.testing.assert_allclose(whole[name], streamed[name], rtol=0, atol=1e-12)
