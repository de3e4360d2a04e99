"""Pictures and moving pictures of a head, read back from their files."""

import av
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from tests.view import synthetic
from vitreous.view import AttentionGallery, Picture
from vitreous.view._colors import sequential

LEFT, TOP = 16, 52  # where the picture begins in a file


def gallery(rows=4, columns=4, special=("cls",), white=True, masked=()):
    tokens = synthetic.token_map(rows, columns, special)
    scores = synthetic.scores(tokens, 2, 3)
    for token in masked:
        scores[..., token] = -np.inf
    noise = np.random.default_rng(0).integers(0, 256, (60, 60 * columns // rows, 3), dtype=np.uint8)
    return AttentionGallery(Picture.of(noise | 255 if white else noise), tokens, scores)


def middles(frame, rows, columns, width):
    """The mean color inside of each patch, away from its edges and its ring."""
    data = np.asarray(frame.convert("RGB")).astype(float)
    height = round(width * rows / columns)
    cells = data[TOP : TOP + height, LEFT : LEFT + width]
    cells = cells.reshape(rows, height // rows, columns, width // columns, 3)
    return cells[:, 6:-6, :, 6:-6].mean(axis=(1, 3)).reshape(-1, 3)


def pattern(made, layer, head):
    return softmax(made.scores[layer, head].astype(float), axis=-1)


def gif_frames(path):
    with Image.open(path) as file:
        return [(file.seek(i), file.convert("RGB"))[1] for i in range(file.n_frames)]


def video_frames(path):
    with av.open(str(path)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


@pytest.mark.parametrize("way", ["from", "to"])
def test_a_saved_picture_has_the_colors_of_the_pattern(tmp_path, way):
    made = gallery()
    path = made.save_png(tmp_path / "head.png", 1, 2, 6, way=way, width=240)
    line = pattern(made, 1, 2)[6] if way == "from" else pattern(made, 1, 2)[:, 6]
    with Image.open(path) as file:
        seen = middles(file, 4, 4, 240)
    assert np.abs(seen - sequential(line[1:] / line.max())).max() <= 4


@pytest.mark.parametrize("scale", ["token", "head", "all"])
def test_the_colors_span_what_the_scale_says(tmp_path, scale):
    made = gallery()
    path = made.save_png(tmp_path / "head.png", 0, 1, 3, kind="scores", scale=scale, width=240)
    spanned = {"token": made.scores[0, 1, 3], "head": made.scores[0, 1], "all": made.scores}[scale]
    low, high = spanned.min(), spanned.max()
    with Image.open(path) as file:
        seen = middles(file, 4, 4, 240)
    assert np.abs(seen - sequential((made.scores[0, 1, 3, 1:] - low) / (high - low))).max() <= 4


def test_the_picture_stays_visible_under_the_colors(tmp_path):
    made = gallery(white=False)
    path = made.save_png(tmp_path / "head.png", 0, 0, 0, width=240)
    line = pattern(made, 0, 0)[0]
    gray = made.picture.image().convert("L", (0.2126, 0.7152, 0.0722, 0)).resize((240, 240), 0)
    veiled = 255 - 0.25 * (255 - np.asarray(gray).astype(float))
    veiled = veiled.reshape(4, 60, 4, 60)[:, 6:-6, :, 6:-6].mean(axis=(1, 3)).reshape(-1, 1)
    with Image.open(path) as file:
        seen = middles(file, 4, 4, 240)
    assert np.abs(seen - veiled / 255 * sequential(line[1:] / line.max())).max() <= 4


def test_masked_keys_stay_without_color(tmp_path):
    made = gallery(masked=[5])
    path = made.save_png(tmp_path / "head.png", 0, 0, 0, kind="scores", width=240)
    with Image.open(path) as file:
        assert middles(file, 4, 4, 240)[4] == pytest.approx([255, 255, 255])


@pytest.mark.parametrize(("kind", "apart"), [("gif", 6), ("mp4", 10)])
def test_every_frame_shows_the_pattern_of_its_patch(tmp_path, kind, apart):
    made = gallery()
    save, read = (made.save_gif, gif_frames) if kind == "gif" else (made.save_mp4, video_frames)
    frames = read(save(tmp_path / f"head.{kind}", 1, 1, width=240))
    values = pattern(made, 1, 1)
    assert len(frames) == 16
    for patch, frame in enumerate(frames):
        expected = sequential(values[1 + patch, 1:] / values.max())
        assert np.abs(middles(frame, 4, 4, 240) - expected).max() <= apart, patch


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_the_token_that_looks_has_a_ring_in_its_frame(tmp_path, kind):
    made = gallery()
    save, read = (made.save_gif, gif_frames) if kind == "gif" else (made.save_mp4, video_frames)
    frames = read(save(tmp_path / f"head.{kind}", 0, 0, tokens=[1, 11], width=240))
    assert len(frames) == 2
    redness = [np.asarray(frame).astype(int) for frame in frames]
    for frame, (row, column) in zip(redness, [(0, 0), (2, 2)], strict=True):
        red = frame[..., 0] - frame[..., 1] > 60
        ys, xs = np.nonzero(red[TOP : TOP + 240, LEFT : LEFT + 240])
        assert (ys.min() // 60, xs.min() // 60) == (row, column)
        assert (ys.max() // 60, xs.max() // 60) == (row, column)


def test_a_moving_picture_has_the_speed_that_was_asked_for(tmp_path):
    made = gallery()
    with Image.open(made.save_gif(tmp_path / "a.gif", 0, 0, frames_per_second=5)) as file:
        assert (file.info["duration"], file.info["loop"]) == (200, 0)
    with av.open(str(made.save_mp4(tmp_path / "a.mp4", 0, 0, frames_per_second=5))) as file:
        assert file.streams.video[0].average_rate == 5


@pytest.mark.parametrize(("rows", "columns", "special"), [(1, 1, ()), (3, 5, ("cls", "reg0"))])
def test_any_grid_can_be_filmed(tmp_path, rows, columns, special):
    made = gallery(rows, columns, special)
    frames = video_frames(made.save_mp4(tmp_path / "a.mp4", 1, 0, width=135))
    assert len(frames) == rows * columns and frames[0].width % 2 == 0
    frames = gif_frames(made.save_gif(tmp_path / "a.gif", 1, 0, width=135))
    assert len(frames) == rows * columns


def test_heads_that_are_not_on_the_page_can_be_filmed_too(tmp_path):
    made = gallery()
    chosen = AttentionGallery(made.picture, made.tokens, made.scores, heads=[(0, 0)])
    path = chosen.save_png(tmp_path / "a.png", 1, 2, 0)
    assert path.read_bytes() == made.save_png(tmp_path / "b.png", 1, 2, 0).read_bytes()


def test_a_broken_film_leaves_no_file(tmp_path, monkeypatch):
    def broken(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vitreous.view._attention.draw", broken)
    for save in (gallery().save_gif, gallery().save_mp4):
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path / "film", 0, 0)
    assert not list(tmp_path.iterdir())


def test_python_and_the_browser_have_the_same_colors(browser_page, tmp_path):
    browser_page.goto(gallery().save(tmp_path / "page.html").as_uri())
    table = browser_page.evaluate(
        """async () => {
          const { colorTable } = await import("vitreous/colors.js");
          return Array.from(colorTable("sequential", "light"));
        }"""
    )
    assert np.array_equal(np.reshape(table, (-1, 3)), sequential(np.linspace(0, 1, 256)))
