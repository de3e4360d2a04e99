import numpy as np
import pytest

from tests.view.synthetic import picture, scores, token_map
from vitreous.view import AttentionGallery, Bars, HeatMap, PatchLens, Picture, unpack


def test_special_tokens_are_those_on_no_patch():
    assert token_map(2, 3, ("cls", "reg0")).special == (0, 1)


def test_a_picture_keeps_its_pixels():
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert Picture.of(pixels).png.startswith(b"\x89PNG") and Picture.of(pixels).columns == 3


def test_the_lens_keeps_the_highest_labels_and_probabilities_over_all_labels():
    logits = np.random.default_rng(0).normal(size=(2, 5, 20)).astype(np.float32)
    labels = [str(i) for i in range(20)]
    lens = PatchLens(picture(), token_map(2, 2), logits, ["embedding", "block 0"], labels)
    payload = lens.payload()
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    kept = unpack(payload["topLogits"]) - unpack(payload["logPartition"])[..., None]
    assert np.array_equal(unpack(payload["top"])[..., 0], logits.argmax(-1))
    assert np.allclose(np.exp(kept), -np.sort(-probabilities, axis=-1)[..., :3], atol=1e-6)


def test_the_lens_survives_logits_that_overflow_an_exponential():
    logits = np.full((1, 5, 3), 5000.0, dtype=np.float32)
    lens = PatchLens(picture(), token_map(2, 2), logits, ["embedding"], list("abc"))
    assert np.allclose(unpack(lens.payload()["logPartition"]), 5000 + np.log(3))


def test_the_gallery_ships_scores_from_which_the_pattern_follows():
    tokens = token_map(3, 3)
    values = scores(tokens, 2, 2)
    payload = AttentionGallery(picture(), tokens, values).payload()
    pattern = np.exp(unpack(payload["scores"]) - unpack(payload["logPartition"])[..., None])
    assert np.allclose(pattern.sum(-1), 1, atol=1e-6)


def test_a_token_map_of_another_run_is_refused():
    with pytest.raises(ValueError, match="must name each of the 17 tokens; got 10 names"):
        AttentionGallery(picture(), token_map(3, 3), scores(token_map(4, 4), 1, 1))


def test_a_heat_map_needs_a_name_for_each_row_and_column():
    with pytest.raises(ValueError, match=r"shape \(2, 3\) needs as many names; got 2 rows and 2"):
        HeatMap(np.zeros((2, 3)), ["0", "1"], ["0", "1"])


def test_bars_need_a_label_each():
    with pytest.raises(ValueError, match="2 bars need as many labels and groups; got"):
        Bars(["a"], np.zeros(2))


def test_the_lens_needs_a_name_for_each_label():
    with pytest.raises(ValueError, match="1 layers and 3 labels need as many names; got 1 and 2"):
        PatchLens(picture(), token_map(2, 2), np.zeros((1, 5, 3)), ["embedding"], ["a", "b"])
