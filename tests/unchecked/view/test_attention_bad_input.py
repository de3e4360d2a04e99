"""What can't be shown is named in one line."""

import numpy as np
import pytest

from tests.view import synthetic
from vitreous import MissingDependencyError
from vitreous.view import AttentionGallery, HeadImageMatrix

TOKENS = synthetic.token_map(2, 3)
PICTURE = synthetic.picture()
SCORES = synthetic.scores(TOKENS, 2, 3)


def gallery(scores=SCORES, **options):
    return AttentionGallery(PICTURE, TOKENS, scores, **options)


@pytest.mark.parametrize("shape", [(7, 7), (2, 3, 7, 5), (1, 2, 3, 7, 7), (0, 3, 7, 7)])
def test_scores_have_four_axes_and_a_row_per_token(shape):
    with pytest.raises(ValueError, match=r"^Scores must be \[layers, heads, queries, keys\], one"):
        gallery(np.zeros(shape, np.float32))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_found(wrong):
    scores = SCORES.copy()
    scores[1, 2, 3, 4] = wrong
    with pytest.raises(ValueError, match=r"got 1 that are no number in layer 1, head 2\. Look for"):
        gallery(scores)
    with pytest.raises(ValueError, match=r"got 1 that are no number in layer 1, head 2\. Look for"):
        HeadImageMatrix.of([PICTURE], TOKENS, [scores])


def test_a_query_must_see_a_key():
    scores = SCORES.copy()
    scores[0, 1, 5] = -np.inf
    with pytest.raises(ValueError, match="got 1 queries that see no key in layer 0, head 1"):
        gallery(scores)


def test_more_heads_than_a_page_can_hold_are_refused():
    tokens = synthetic.token_map(32, 32)
    scores = np.broadcast_to(np.zeros((), np.float32), (2, 8, 1025, 1025))
    with pytest.raises(
        ValueError,
        match=r"^A page must hold 1 to 15 heads over 1025 tokens \(16,000,000 scores at most\); "
        r"got 16\. Choose some: `heads=\[\(layer, head\), \.\.\.\]`\.$",
    ):
        AttentionGallery(PICTURE, tokens, scores)
    assert AttentionGallery.capacity(1025) == 15


@pytest.mark.parametrize("option", ["start", "heads"])
def test_a_head_must_be_there(option):
    place = (2, 0)
    options = {option: place if option == "start" else [place]}
    with pytest.raises(ValueError, match=r"A head must lie in 0\.\.1 and 0\.\.2; got 2, 0"):
        gallery(**options)


def test_the_first_head_must_be_one_of_the_chosen():
    with pytest.raises(ValueError, match=r"`start` must be one of `heads`; got \(0, 1\)"):
        gallery(heads=[(0, 0)], start=(0, 1))


def test_no_heads_are_no_page():
    with pytest.raises(ValueError, match="must hold 1 to 326530 heads over 7 tokens"):
        gallery(heads=[])


@pytest.mark.parametrize("save", ["save_png", "save_gif", "save_mp4"])
def test_a_file_of_a_head_that_is_not_there_is_refused(tmp_path, save):
    extra = (0,) if save == "save_png" else ()
    with pytest.raises(ValueError, match=r"A head must lie in 0\.\.1 and 0\.\.2; got 1, 3"):
        getattr(gallery(), save)(tmp_path / "file", 1, 3, *extra)
    assert not list(tmp_path.iterdir())


def test_tokens_of_a_file_must_be_there(tmp_path):
    with pytest.raises(ValueError, match=r"A token must lie in 0\.\.6; got 7"):
        gallery().save_png(tmp_path / "file", 0, 0, 7)
    with pytest.raises(ValueError, match=r"A token must lie in 0\.\.6; got -1"):
        gallery().save_gif(tmp_path / "file", 0, 0, tokens=[0, -1])
    with pytest.raises(ValueError, match="`tokens` must name a token; got none"):
        gallery().save_gif(tmp_path / "file", 0, 0, tokens=[])


@pytest.mark.parametrize("speed", [0, -1, 51])
def test_a_speed_that_no_gif_has_is_refused(tmp_path, speed):
    with pytest.raises(ValueError, match=f"`frames_per_second` must lie above 0 .*; got {speed}"):
        gallery().save_gif(tmp_path / "file", 0, 0, frames_per_second=speed)


@pytest.mark.parametrize("option", [{"kind": "weights"}, {"way": "up"}, {"scale": "row"}])
def test_unknown_words_are_refused_with_the_known(tmp_path, option):
    name, value = next(iter(option.items()))
    with pytest.raises(ValueError, match=f"`{name}` must be .*; got '{value}'"):
        gallery().save_png(tmp_path / "file", 0, 0, 0, **option)


def test_a_picture_needs_a_width(tmp_path):
    with pytest.raises(ValueError, match="`width` must be at least 16 pixels; got 0"):
        gallery().save_png(tmp_path / "file", 0, 0, 0, width=0)


def test_a_video_names_the_extra_that_it_needs(tmp_path, monkeypatch):
    def missing(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(MissingDependencyError, match=r"needs av, .*vitreous\[view\]"):
        gallery().save_mp4(tmp_path / "file", 0, 0)
    assert not list(tmp_path.iterdir())


def test_maps_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"^Maps must be \[images, layers, heads, tokens\]"):
        HeadImageMatrix([PICTURE], TOKENS, {"a": np.zeros((1, 2, 7))})
    with pytest.raises(ValueError, match="`maps` must hold a map; got none"):
        HeadImageMatrix([PICTURE], TOKENS, {})


def test_each_image_needs_a_picture_and_a_label():
    maps = {"a": np.zeros((2, 1, 1, 7), np.float32)}
    with pytest.raises(
        ValueError, match="Maps of 2 images need as many pictures and labels; got 1"
    ):
        HeadImageMatrix([PICTURE], TOKENS, maps)
    with pytest.raises(ValueError, match=r"got 2 and 1\. Pass one for each"):
        HeadImageMatrix([PICTURE] * 2, TOKENS, maps, ["one"])


def test_more_images_than_a_page_can_hold_are_refused():
    maps = {"a": np.broadcast_to(np.zeros((), np.float32), (100, 200, 200, 7))}
    with pytest.raises(ValueError, match="at most 16,000,000 values; got 28,000,000 in 1 maps"):
        HeadImageMatrix([PICTURE] * 100, TOKENS, maps)


def test_maps_need_scores_and_tokens_that_are_there():
    with pytest.raises(ValueError, match="`scores` must hold an image's scores; got none"):
        HeadImageMatrix.of([], TOKENS, [])
    with pytest.raises(ValueError, match=r"`queries` must lie in 0\.\.6; got \[7\]"):
        HeadImageMatrix.of([PICTURE], TOKENS, [SCORES], queries=[7])


def test_a_map_that_is_no_number_is_found():
    maps = {"a": np.full((1, 1, 1, 7), np.nan, np.float32)}
    with pytest.raises(ValueError, match="must be finite"):
        HeadImageMatrix([PICTURE], TOKENS, maps).html()
