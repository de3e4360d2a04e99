"""What corruptions put into a region, and that all else stays bit for bit what it was."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from vitreous.data import (
    Preprocessing,
    blur_region,
    inpaint_region,
    mean_region,
    noise_region,
    paint_word,
    resample_region,
    shuffle_patches,
    swap_objects,
    word_mask,
)

ROWS, COLUMNS = 24, 36
BOX = np.zeros((ROWS, COLUMNS), bool)
BOX[6:18, 8:26] = True
PREPROCESSING = Preprocessing((ROWS, COLUMNS), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25))


def smooth_pictures(count: int = 3, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, 256, (count, ROWS, COLUMNS, 3))
    soft = ndimage.gaussian_filter(drawn.astype(float), (0, 3, 3, 0))
    soft = (soft - soft.min()) / (soft.max() - soft.min())
    return (soft * 255).astype(np.uint8)


PICTURES = smooth_pictures()
PREPARED = PREPROCESSING.normalize(torch.from_numpy(PICTURES).movedim(-1, 1))
REGIONS = {
    "mean": lambda x, m: mean_region(x, m),
    "mean of the picture": lambda x, m: mean_region(x, m, of="picture"),
    "color": lambda x, m: mean_region(x, m, of=(1, 2, 3)),
    "blur": lambda x, m: blur_region(x, m, sigma=2),
    "noise": lambda x, m: noise_region(x, m, seed=5),
    "resample": lambda x, m: resample_region(x, m, seed=5),
    "telea": lambda x, m: inpaint_region(x, m),
    "navier-stokes": lambda x, m: inpaint_region(x, m, method="navier-stokes"),
    "shuffle": lambda x, m: shuffle_patches(x, 4, m, seed=5),
}


def rough_masks(seed: int = 3) -> np.ndarray:
    """A region of its own for each picture, with holes, and whole cells of four."""
    masks = np.random.default_rng(seed).random((len(PICTURES), ROWS, COLUMNS)) < 0.4
    masks[:, :8, :12] = True
    return masks


@pytest.mark.parametrize("name", REGIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_only_the_region_of_a_tensor_changes(name, dtype):
    masks, images = rough_masks(), PREPARED.to(dtype)
    made = REGIONS[name](images, masks)
    outside = ~torch.from_numpy(masks)[:, None].expand_as(images)
    assert made.dtype == dtype and made.isfinite().all()
    assert torch.equal(made[outside], images[outside])
    changed = (made != images).any(1) & torch.from_numpy(masks)
    assert (changed.flatten(1).sum(1) > 20).all()


@pytest.mark.parametrize("name", REGIONS)
def test_only_the_region_of_pictures_changes(name):
    masks = rough_masks()
    made = REGIONS[name](PICTURES, masks)
    assert made.dtype == np.uint8 and made.shape == PICTURES.shape
    assert np.array_equal(made[~masks], PICTURES[~masks])
    assert not np.array_equal(made, PICTURES)


@pytest.mark.parametrize("name", [name for name in REGIONS if name not in ("color", "resample")])
def test_every_form_of_a_picture_gives_the_same(name):
    photo = Image.fromarray(PICTURES[0])
    white = Image.fromarray(BOX.astype(np.uint8) * 255)
    made = REGIONS[name](photo, white)
    assert made.mode == "RGB"
    expected = np.asarray(made)
    assert np.array_equal(REGIONS[name](PICTURES[0], BOX), expected)
    assert np.array_equal(REGIONS[name](PICTURES[:1], torch.from_numpy(BOX))[0], expected)
    levels = torch.from_numpy(PICTURES[0]).movedim(-1, 0)
    assert np.array_equal(REGIONS[name](levels, BOX[:]).movedim(0, -1).numpy(), expected)
    gray = np.asarray(photo.convert("L"))
    assert REGIONS[name](gray, BOX).shape == gray.shape
    assert REGIONS[name](photo.convert("L"), BOX).mode == "L"


@pytest.mark.parametrize("name", ["mean", "mean of the picture", "blur", "noise", "resample"])
def test_corrupting_and_preparing_change_places(name):
    """Levels are rounded where pictures are corrupted, and cut off where noise leaves them."""
    first = REGIONS[name](PICTURES, BOX)
    expected = PREPROCESSING.normalize(torch.from_numpy(first).movedim(-1, 1))
    off = (REGIONS[name](PREPARED, BOX) - expected) * torch.tensor(PREPROCESSING.std).view(3, 1, 1)
    within = torch.from_numpy((first > 0) & (first < 255)).movedim(-1, 1)
    assert off[within].abs().max() * 255 < 0.51


def test_clips_are_corrupted_frame_by_frame():
    clip = PREPARED.expand(2, -1, -1, -1, -1)
    made = mean_region(clip, BOX)
    torch.testing.assert_close(made[1], mean_region(PREPARED, BOX), rtol=0, atol=1e-6)
    masks = np.broadcast_to(rough_masks(), (2, *rough_masks().shape))
    blurred = blur_region(clip, masks, sigma=1)
    expected = blur_region(PREPARED, masks[0], sigma=1)
    torch.testing.assert_close(blurred[1], expected, rtol=0, atol=1e-6)


def test_the_mean_is_that_of_the_definition():
    made = mean_region(PREPARED.double(), rough_masks())
    for image, mask, got in zip(PREPARED.double(), rough_masks(), made, strict=True):
        for channel in range(3):
            total = [image[channel, r, c] for r, c in zip(*np.nonzero(~mask), strict=True)]
            assert got[channel, mask] == pytest.approx(float(sum(total) / len(total)), abs=1e-12)


@pytest.mark.parametrize("sigma", [0.7, 3, 40])
def test_the_blur_is_scipys(sigma):
    made = blur_region(PREPARED.double(), np.ones_like(BOX), sigma=sigma)
    expected = ndimage.gaussian_filter(
        PREPARED.double().numpy(),
        (0, 0, sigma, sigma),
        mode="nearest",
        radius=(0, 0, *[max(1, round(4 * sigma))] * 2),
    )
    assert np.abs(made.numpy() - expected).max() < 1e-10


def test_noise_has_the_moments_of_the_picture_and_depends_on_seed_and_place_alone():
    large = torch.randn(2, 3, 200, 200, dtype=torch.float64) * 0.3 + 2
    mask = np.ones((200, 200), bool)
    made = noise_region(large, mask, seed=1)
    assert made.std((-2, -1)).numpy() == pytest.approx(np.full((2, 3), 0.3), rel=0.02)
    assert made.mean((-2, -1)).numpy() == pytest.approx(np.full((2, 3), 2.0), abs=0.01)
    assert not torch.allclose(made[0] - made[0].mean(), made[1] - made[1].mean(), atol=0.1)
    assert torch.equal(noise_region(large[:1], mask, seed=1)[0], made[0])
    assert not torch.equal(noise_region(large, mask, seed=2), made)
    assert noise_region(large, mask, seed=1, strength=0).std((-2, -1)).max() < 1e-10


def test_every_picture_gets_the_region_of_another_one():
    made = resample_region(PICTURES, BOX, seed=0)
    givers = [
        next(j for j, other in enumerate(PICTURES) if np.array_equal(each[BOX], other[BOX]))
        for each in made
    ]
    assert sorted(givers) == [0, 1, 2] and all(i != j for i, j in enumerate(givers))


def test_a_region_can_come_from_a_set_of_others():
    others = smooth_pictures(5, seed=9)
    made = resample_region(PICTURES[0], BOX, others, seed=3)
    assert any(np.array_equal(made[BOX], other[BOX]) for other in others)
    seen = {resample_region(PICTURES[0], BOX, others, seed=s)[BOX].tobytes() for s in range(30)}
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("method", "flag"), [("telea", cv2.INPAINT_TELEA), ("navier-stokes", cv2.INPAINT_NS)]
)
def test_inpainting_is_opencvs_on_three_channels(method, flag):
    made = inpaint_region(PICTURES[0], BOX, method=method, radius=4)
    assert np.array_equal(made, cv2.inpaint(PICTURES[0], BOX.astype(np.uint8), 4, flag))


@pytest.mark.parametrize("method", ["telea", "navier-stokes"])
def test_inpainting_does_not_look_at_the_region_or_at_the_scale(method):
    """Of a tensor, too: OpenCV's floating-point way would add half a unit per pixel."""
    spoiled = torch.where(torch.from_numpy(BOX), 1e4, PREPARED)
    assert torch.equal(
        inpaint_region(spoiled, BOX, method=method), inpaint_region(PREPARED, BOX, method=method)
    )
    flat = torch.full((1, 3, ROWS, COLUMNS), 0.25)
    assert inpaint_region(flat, BOX, method=method).sub(0.25).abs().max() < 1e-6
    scaled = inpaint_region(PREPARED * 7 - 3, BOX, method=method)
    expected = inpaint_region(PREPARED, BOX, method=method) * 7 - 3
    # A level of the 256, rounded on either scale.
    assert (scaled - expected).abs().max() < 2 * 7 * (PREPARED.max() - PREPARED.min()) / 255


def test_shuffled_cells_are_the_same_cells_and_none_keeps_its_place():
    made = shuffle_patches(PICTURES, (4, 6), seed=2)

    def cells(picture):
        rows = picture.reshape(6, 4, 6, 6, 3).swapaxes(1, 2).reshape(36, -1)
        return [row.tobytes() for row in rows]

    for before, after in zip(PICTURES, made, strict=True):
        was, now = cells(before), cells(after)
        assert sorted(was) == sorted(now)
        assert all(a != b for a, b in zip(was, now, strict=True))
    assert cells(made[0]) != cells(shuffle_patches(PICTURES, (4, 6), seed=3)[0])
    assert np.array_equal(shuffle_patches(PICTURES[:1], (4, 6), seed=2), made[:1])


def test_only_whole_cells_of_the_region_move():
    mask = np.zeros_like(BOX)
    mask[4:12, 4:12] = True  # four cells
    mask[14:15, :] = True  # none
    made = shuffle_patches(PICTURES[0], 4, mask, seed=0)
    changed = (made != PICTURES[0]).any(-1)
    assert changed[4:12, 4:12].all() and changed.sum() == 64


def test_an_object_swapped_for_itself_is_the_picture_itself():
    masks = rough_masks()
    made = swap_objects(PICTURES, masks, PICTURES, masks)
    assert np.array_equal(made, PICTURES)
    prepared = swap_objects(PREPARED, masks, PREPARED, masks)
    assert torch.equal(prepared, PREPARED)


def test_a_swapped_object_stands_in_the_box_of_the_other_on_an_inpainted_ground():
    tall, other = np.zeros_like(BOX), np.zeros((50, 40), bool)
    tall[3:21, 10:19], other[5:45, 11:31] = True, True
    red = np.full((50, 40, 3), (10, 200, 10), np.uint8)
    red[other] = (250, 0, 0)
    made = swap_objects(PICTURES[0], tall, red, other)
    assert np.array_equal(made[~tall], PICTURES[0][~tall])
    pasted = (made == (250, 0, 0)).all(-1)
    rows, columns = (pasted.any(axis).nonzero()[0] for axis in (1, 0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (3, 20, 10, 18)  # 2 : 1, as it was
    assert not (made == (10, 200, 10)).all(-1).any()


def test_a_wide_object_stands_at_the_bottom_and_the_rest_is_inpainted():
    wide = np.zeros_like(BOX)
    wide[:6, :18] = True
    made = swap_objects(PICTURES[0], BOX, PICTURES[1], wide)
    filled = inpaint_region(PICTURES[0], BOX)
    assert np.array_equal(made[12:18, 8:26], PICTURES[1][:6, :18])
    rest = BOX.copy()
    rest[12:18, 8:26] = False
    assert np.array_equal(made[rest], filled[rest])


@pytest.mark.parametrize("label", [True, False])
def test_a_word_touches_its_own_mask_only(label):
    where = {"at": (0.5, 0.5), "height": 0.3, "label": label}
    mask = word_mask((ROWS, COLUMNS), "Ox", **where).numpy()
    made = paint_word(PICTURES, "OX", **where)
    assert np.array_equal(made[:, ~mask], PICTURES[:, ~mask])
    assert 30 < mask.sum() < mask.size / 2
    prepared = paint_word(PREPARED, "ox", preprocessing=PREPROCESSING, **where)
    expected = PREPROCESSING.normalize(torch.from_numpy(made).movedim(-1, 1))
    off = (prepared - expected) * torch.tensor(PREPROCESSING.std).view(3, 1, 1) * 255
    assert off.abs().max() < 0.51


def test_letters_are_drawn_where_their_strokes_are():
    large = np.full((120, 120, 3), 100, np.uint8)
    made = paint_word(large, "L", at=(0.5, 0.5), height=0.5)
    dark = (made < 60).all(-1)
    rows, columns = (dark.any(axis).nonzero()[0] for axis in (1, 0))
    # Six steps of 10 pixels high, four wide, half a stroke of 13 around them.
    assert (
        np.abs(
            np.array([rows[0], rows[-1], columns[0], columns[-1]]) - (24, 96, 34, 106 - 20)
        ).max()
        < 2.1
    )
    assert dark[30:84, 60:].sum() == 0 and dark[30:84, 36:44].all()
    assert (made[20:23, 40:80] > 240).all()  # the label


def test_every_picture_can_get_a_word_of_its_own():
    where = {"at": (0.5, 0.5), "height": 0.25}
    made = paint_word(PICTURES, ["A", "B", "C"], **where)
    for i, letter in enumerate("ABC"):
        assert np.array_equal(made[i], paint_word(PICTURES[i], letter, **where))
