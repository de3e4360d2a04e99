import re

import numpy as np
import pytest

from tests.view.synthetic import picture, scores, token_map
from vitreous.models import TokenLayout
from vitreous.view import (
    AttentionGallery,
    Bars,
    HeatMap,
    ImageGrid,
    PatchLens,
    Picture,
    TokenMap,
    unpack,
)


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


class Layout:
    """Two rows of three patches after a class token, as a model would say it."""

    def names(self):
        return ["cls", *(f"r{row}c{column}" for row in range(2) for column in range(3))]

    def to_grid(self, x):
        return x[1:].reshape(2, 3)


class ClipLayout(Layout):
    def to_grid(self, x):
        return x[1:].reshape(2, 1, 3)


def test_a_layout_says_which_token_lies_where():
    assert TokenMap.of(Layout()) == token_map(2, 3)


def test_the_layout_of_a_model_is_one():
    layout = TokenLayout(cls=1, distillation=0, registers=2, grid=(1, 2, 3), patch_size=(4, 4))
    assert TokenMap.of(layout) == token_map(2, 3, ("cls", "reg0", "reg1"))


def test_a_grid_needs_names():
    with pytest.raises(TypeError, match=r"got ndarray and no names\. `TokenMap\.of"):
        TokenMap.of(np.arange(4).reshape(2, 2))


def test_a_layout_has_names_of_its_own():
    with pytest.raises(TypeError, match="or from a grid and names; got Layout and names"):
        TokenMap.of(Layout(), ["a"] * 7)


def test_patches_of_clips_lie_on_no_single_picture():
    with pytest.raises(
        ValueError, match=r"rows and columns; got a grid of shape \(2, 1, 3\)\. Pass"
    ):
        TokenMap.of(ClipLayout())


def test_rows_and_columns_of_a_heat_map_are_numbered():
    payload = HeatMap(np.zeros((2, 3))).payload()
    assert (payload["rows"], payload["columns"]) == (["0", "1"], ["0", "1", "2"])


def test_a_heat_map_may_name_its_columns_alone():
    payload = HeatMap(np.zeros((1, 2)), columns=["a", "b"]).payload()
    assert (payload["rows"], payload["columns"]) == (["0"], ["a", "b"])


def test_a_viewer_shows_itself_in_a_sandbox():
    assert 'sandbox="allow-scripts allow-downloads"' in HeatMap(np.zeros((1, 1)))._repr_html_()


def test_a_viewer_by_itself_has_no_headings_and_no_masthead():
    text = HeatMap(np.zeros((1, 1))).html()
    assert not re.search("<h1|<h2|data-theme-toggle", text)


def test_a_saved_viewer_is_one_file_that_fetches_nothing(tmp_path):
    path = ImageGrid(picture(), token_map(2, 2)).save(tmp_path / "grid.html")
    assert [file.name for file in tmp_path.iterdir()] == ["grid.html"]
    text = path.read_text()
    assert "default-src 'none'" in text and not re.search(r"(src|href)=.?(https?:)?//", text)


def test_a_heat_map_needs_a_name_for_each_row_and_column():
    with pytest.raises(ValueError, match=r"shape \(2, 3\) needs as many names; got 2 rows and 2"):
        HeatMap(np.zeros((2, 3)), ["0", "1"], ["0", "1"])


def test_bars_need_a_label_each():
    with pytest.raises(ValueError, match="2 bars need as many labels and groups; got"):
        Bars(["a"], np.zeros(2))


def test_the_lens_needs_a_name_for_each_label():
    with pytest.raises(ValueError, match="1 layers and 3 labels need as many names; got 1 and 2"):
        PatchLens(picture(), token_map(2, 2), np.zeros((1, 5, 3)), ["embedding"], ["a", "b"])
