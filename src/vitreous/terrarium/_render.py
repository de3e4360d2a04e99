"""Makes pictures of scenes, with everything that is true of them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vitreous.terrarium._backgrounds import backdrop, lighting
from vitreous.terrarium._canvas import SAMPLES
from vitreous.terrarium._captions import caption
from vitreous.terrarium._factors import factors
from vitreous.terrarium._painting import (
    SHADOW,
    WORDS,
    Painting,
    moved,
    paint,
    part_names,
    samples,
)
from vitreous.terrarium._scene import Scene
from vitreous.terrarium._values import instance, whole

SIZE = 96
_LARGEST = 8192  # of which the canvas takes a gigabyte
_ALL = SAMPLES**2


@dataclass(frozen=True)
class Rendering:
    """A picture and who owns its pixels.

    Every pixel has 16 samples, and every sample one owner: an object's part, a shadow, painted
    words, or the background. A **share** is the part of a pixel's samples that someone owns, a
    multiple of 1/16; shares of all owners add up to 1. A **mask** marks the pixels of which
    someone owns more than any other, the nearer one where two own as many; so masks of objects
    don't overlap, and masks of an object's parts partition its mask.

    Attributes:
        scene: What is shown.
        image: The picture.
        parts: (object, name) of each part, in the order of `part_masks`.
    """

    scene: Scene
    image: UInt8[np.ndarray, "rows columns 3"]
    parts: tuple[tuple[int, str], ...]
    _painting: Painting

    @property
    def caption(self) -> str:
        """The picture in words."""
        return caption(self.scene)

    @property
    def factors(self) -> dict[str, Any]:
        """The causes of the picture in one flat table row."""
        return factors(self.scene)

    @cached_property
    def part_shares(self) -> Float[np.ndarray, "parts rows columns"]:
        """Visible share of every part."""
        return self._oriented(self._counts[: len(self.parts)]) / np.float32(_ALL)

    @cached_property
    def object_shares(self) -> Float[np.ndarray, "objects rows columns"]:
        """Visible share of every object: its alpha."""
        return self._oriented(self._object_counts[:-3]) / np.float32(_ALL)

    @cached_property
    def shadow_share(self) -> Float[np.ndarray, "rows columns"]:
        """Visible share of all shadows."""
        return self._oriented(self._counts[-2]) / np.float32(_ALL)

    @cached_property
    def words_share(self) -> Float[np.ndarray, "rows columns"]:
        """Visible share of painted words."""
        return self._oriented(self._counts[-1]) / np.float32(_ALL)

    @cached_property
    def label_map(self) -> Int[np.ndarray, "rows columns"]:
        """Who owns most of a pixel: an object's number, -1 for the background, -3 for words.

        A shadow belongs to the background here.
        """
        counts, numbers = self._object_counts, self._nearest_first
        ordered = np.concatenate([counts[-1:], counts[numbers], counts[-3:-2] + counts[-2:-1]])
        names = np.array([WORDS, *numbers, -1])
        return self._oriented(names[ordered.argmax(0)])

    @cached_property
    def object_masks(self) -> Bool[np.ndarray, "objects rows columns"]:
        """The visible pixels of every object."""
        numbers = np.arange(len(self.scene.objects))
        return self.label_map == numbers[:, None, None]

    @cached_property
    def part_masks(self) -> Bool[np.ndarray, "parts rows columns"]:
        """The visible pixels of every part; those of an object partition its mask."""
        masks = np.zeros_like(self.part_shares, bool)
        for number in range(len(self.scene.objects)):
            places = [i for i, (of, _) in enumerate(self.parts) if of == number][::-1]
            largest = self.part_shares[places].argmax(0)
            for order, place in enumerate(places):
                masks[place] = self.object_masks[number] & (largest == order)
        return masks

    @cached_property
    def full_shares(self) -> Float[np.ndarray, "objects rows columns"]:
        """The share that every object would own with nothing before it."""
        size = len(self.image)
        alone = np.zeros((len(self.scene.objects), size, size), np.float32)
        for number in range(len(alone)):
            painting = paint(self.scene, size, only=number)
            owned = np.array([owner == number for owner, _ in painting.owners])
            alone[number] = owned[samples(painting)].sum(-1) / np.float32(_ALL)
        return self._oriented(alone)

    @cached_property
    def full_masks(self) -> Bool[np.ndarray, "objects rows columns"]:
        """The pixels of every object with nothing before it: at least half of each is its own."""
        return self.full_shares >= 0.5

    def part_mask(self, name: str, number: int = 0) -> Bool[np.ndarray, "rows columns"]:
        """The visible pixels of one part of one object.

        Raises:
            ValueError: There is no such object, or it has no such part in its style.
        """
        last = len(self.scene.objects) - 1
        whole("number", number, 0, last, "`scene.objects` lists them.")
        if (number, name) not in self.parts:
            has = ", ".join(part for of, part in self.parts if of == number)
            raise ValueError(
                f"`name` must be a part of object {number}; got {name!r}. It has {has or 'none'}."
            )
        return self.part_masks[self.parts.index((number, name))]

    def coverage(self, rows: int, columns: int) -> Float[np.ndarray, "objects ..."]:
        """The visible share of every object in each patch of a grid, [objects, rows, columns].

        Times the pixels of a patch, it sums to the object's visible area in pixels.

        Raises:
            ValueError: The picture can't be divided into such a grid.
        """
        return patch_means(self.object_shares, rows, columns)

    @property
    def _nearest_first(self) -> list[int]:
        depths = [thing.depth for thing in self.scene.objects]
        return sorted(range(len(depths)), key=lambda i: (depths[i], i), reverse=True)

    @cached_property
    def _counts(self) -> Int[np.ndarray, "owners rows columns"]:
        """Samples of every part, then of the background, the shadows and the words."""
        slots = {owner: i for i, owner in enumerate(self._part_numbers)}
        n_parts = len(slots)
        slots |= {(-1, 0): n_parts, (SHADOW, 0): n_parts + 1, (WORDS, 0): n_parts + 2}
        slot_of = np.array([slots[owner] for owner in self._painting.owners])
        inks = samples(self._painting)
        size, n_slots = len(inks), len(slots)
        pixel = np.arange(size * size).reshape(size, size, 1) * n_slots
        counts = np.bincount((pixel + slot_of[inks]).ravel(), minlength=size * size * n_slots)
        return counts.reshape(size, size, n_slots).transpose(2, 0, 1)

    @property
    def _part_numbers(self) -> list[tuple[int, int]]:
        seen: dict[int, int] = {}
        numbers = []
        for number, _ in self.parts:
            seen[number] = seen.get(number, -1) + 1
            numbers.append((number, seen[number]))
        return numbers

    @cached_property
    def _object_counts(self) -> Int[np.ndarray, "owners rows columns"]:
        size = len(self.image)
        counts = np.zeros((len(self.scene.objects) + 3, size, size), np.int64)
        for i, (number, _) in enumerate(self.parts):
            counts[number] += self._counts[i]
        counts[-3:] = self._counts[-3:]
        return counts

    def _oriented(self, values: np.ndarray) -> np.ndarray:
        return values[..., ::-1] if self.scene.mirrored else values


def render(scene: Scene, size: int = SIZE, *, frame: int = 0) -> Rendering:
    """Makes the picture of a scene.

    Args:
        scene: What to show.
        size: Pixels of a side.
        frame: Which picture of a clip.

    Raises:
        ValueError: The size is too small, or there is no such frame.
    """
    _check(scene, size, frame)
    shown = moved(scene, frame) if frame else scene
    painting = paint(shown, size)
    return Rendering(shown, _picture(shown, painting), tuple(part_names(shown)), painting)


def render_image(
    scene: Scene, size: int = SIZE, *, frame: int = 0
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The picture alone, the same bytes as `render(...).image`."""
    _check(scene, size, frame)
    shown = moved(scene, frame) if frame else scene
    return _picture(shown, paint(shown, size))


def render_clip(scene: Scene, size: int = SIZE) -> UInt8[np.ndarray, "frames rows columns 3"]:
    """All pictures of a clip."""
    instance("scene", scene, Scene)
    return np.stack([render_image(scene, size, frame=frame) for frame in range(scene.frames)])


def render_background(scene: Scene, size: int = SIZE) -> UInt8[np.ndarray, "rows columns 3"]:
    """The picture without objects, shadows and words."""
    instance("scene", scene, Scene)
    return render_image(replace(scene, objects=(), words=()), size)


def patch_means(
    values: Float[np.ndarray, "objects rows columns"], rows: int, columns: int
) -> Float[np.ndarray, "objects ..."]:
    """The mean of each patch of a grid."""
    count, height, width = values.shape
    rows, columns = (whole(n, value, 1) for n, value in (("rows", rows), ("columns", columns)))
    if height % rows or width % columns:
        raise ValueError(
            f"`rows` and `columns` must divide the picture's {height} x {width} pixels; "
            f"got {rows} x {columns}. Render at another size."
        )
    return values.reshape(count, rows, height // rows, columns, width // columns).mean((2, 4))


def _check(scene: Scene, size: int, frame: int) -> None:
    instance("scene", scene, Scene)
    whole_size(size)
    whole("frame", frame, 0, scene.frames - 1, "`scene.frames` counts the pictures.")
    for thing in scene.objects if frame else ():
        reach = thing.size // 2
        x, y = (thing.x + frame * thing.motion[0], thing.y + frame * thing.motion[1])
        if not all(-reach < middle < 1000 + reach for middle in (x, y)):
            raise ValueError(
                f"`motion` must leave some of the {thing.kind} within picture {frame}; got "
                f"{thing.motion}, which takes it to {(x, y)}. Let it move slower."
            )


def whole_size(size: Any) -> int:
    """The side of a picture, in pixels."""
    return whole("size", size, 8, _LARGEST, f"The default is {SIZE} pixels.")


def _picture(scene: Scene, painting: Painting) -> UInt8[np.ndarray, "rows columns 3"]:
    size = painting.canvas.size
    paint_color, opacity = _averaged(painting)
    behind = backdrop(scene.background, size).clip(0, 255).astype(np.uint16)
    opacity = opacity.astype(np.uint16)
    through = 256 - (opacity + (opacity >> 7))[:, :, None]  # all of it at opacity 0, none at 255
    picture = np.minimum(paint_color + (behind * through >> 8), 255)
    lit = lighting(scene.light, size)
    if lit is not None:
        picture = picture * lit >> 8
    if scene.gray:
        weighted = picture @ np.array([77, 150, 29], np.uint32) >> 8
        picture = np.broadcast_to(weighted[:, :, None], picture.shape)
    finished = picture.astype(np.uint8)
    return np.ascontiguousarray(finished[:, ::-1]) if scene.mirrored else finished


def _averaged(painting: Painting) -> tuple[np.ndarray, np.ndarray]:
    """Mean color, as uint16, and mean opacity of a pixel's samples."""
    colors = np.array(painting.colors, np.uint8)
    inks = painting.canvas.image
    if inks.mode == "I":
        means = colors[samples(painting)].astype(np.uint32).sum(2) + _ALL // 2 >> 4
        return means[..., :3].astype(np.uint16), means[..., 3]
    seen = inks.point([*colors[:, 3].tolist(), *[0] * (256 - len(colors))])
    inks.putpalette(colors[:, :3].tobytes())
    mean_color = np.asarray(inks.convert("RGB").reduce(SAMPLES))
    return mean_color.astype(np.uint16), np.asarray(seen.reduce(SAMPLES))
