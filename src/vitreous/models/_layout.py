"""Where tokens are: which one is the class token, and which the patch at row 3, column 5."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from vitreous.models._positions import Layout

Positions = str | int | list[int] | tuple[int, ...] | Tensor


@dataclass(frozen=True)
class TokenLayout(Layout):
    """The order and the places of the tokens of images.

    Attributes:
        cls: Class tokens (0 or 1), first in the sequence.
        distillation: Distillation tokens (0 or 1), after the class token.
        registers: Register tokens, after those.
        grid: Frames, rows and columns of the patches, which come last in reading order.
        patch_size: Pixel rows and columns of a patch.
        readout: What the head reads: `"cls"` (the distillation token too, where there is one),
            `"patches"`, `"cls_patches"` (both), `"first"` (whatever it is) or `"all"`.
        margin: Pixel rows and columns behind the last patches, too few for another.
        has_grid: Whether `grid` says where patches are. Of a stream that came from images of
            another size only their number is known, and asking for places raises `ValueError`.
        tubelet: Frames of a clip that a patch covers.
    """

    groups: ClassVar = ("all", "readout", "cls", "distillation", "registers", "patches")

    cls: int
    distillation: int
    registers: int
    grid: tuple[int, int, int]
    patch_size: tuple[int, int]
    readout: str = "cls"
    margin: tuple[int, int] = (0, 0)
    has_grid: bool = True
    tubelet: int = 1

    @property
    def n_prefix(self) -> int:
        """Tokens in front of the patches."""
        return self.cls + self.distillation + self.registers

    @property
    def n_patches(self) -> int:
        frames, rows, columns = self.grid
        return frames * rows * columns

    @property
    def n_tokens(self) -> int:
        return self.n_prefix + self.n_patches

    def to_json(self) -> dict[str, Any]:
        return {"grid": list(self.grid), "has_grid": self.has_grid}

    def names(self) -> list[str]:
        """One short name per token: `cls`, `dist`, `reg0`, `r3c5`, or `f2r3c5` in clips."""
        frames, rows, columns = self._places()
        prefix = ["cls"] * self.cls + ["dist"] * self.distillation
        registers = [f"reg{i}" for i in range(self.registers)]
        patches = [
            (f"f{f}" if frames > 1 else "") + f"r{r}c{c}"
            for f in range(frames)
            for r in range(rows)
            for c in range(columns)
        ]
        return prefix + registers + patches

    def index(self, row: int, column: int, frame: int = 0) -> int:
        """The token of the patch at a row and column (and frame); negatives count from the end."""
        place = []
        for word, got, size in zip(
            ("frame", "row", "column"), (frame, row, column), self._places(), strict=True
        ):
            if not -size <= got < size:
                raise ValueError(
                    f"`{word}` must lie in 0..{size - 1}; got {got}. The grid is {self._grid()}."
                )
            place.append(got % size)
        _, rows, columns = self.grid
        return self.n_prefix + (place[0] * rows + place[1]) * columns + place[2]

    def to_grid(self, x: Tensor, dim: int = -1) -> Tensor:
        """Replaces a dimension of tokens, or of patches, by the grid's rows and columns.

        Class, distillation and register tokens are dropped. Clips get frames, rows and columns.
        """
        dim = _from_front(dim, x)
        n = x.shape[dim]
        if n not in (self.n_tokens, self.n_patches):
            raise ValueError(
                f"`to_grid` needs {self.n_tokens} tokens or {self.n_patches} patches in dimension "
                f"{dim}; got {n}. Pass `dim=`."
            )
        patches = x.narrow(dim, n - self.n_patches, self.n_patches)
        return patches.reshape(*x.shape[:dim], *self._grid(), *x.shape[dim + 1 :])

    def from_grid(self, x: Tensor, dim: int = -1) -> Tensor:
        """Flattens grid dimensions that end at `dim` into one of patches; undoes `to_grid`."""
        grid = self._grid()
        last = _from_front(dim, x)
        first = last - len(grid) + 1
        if first < 0 or tuple(x.shape[first : last + 1]) != grid:
            raise ValueError(
                f"`from_grid` needs {' x '.join(map(str, grid))} in the dimensions that end at "
                f"{last}; got shape {list(x.shape)}. Pass `dim=`."
            )
        return x.reshape(*x.shape[:first], self.n_patches, *x.shape[last + 1 :])

    def coverage(self, mask: Tensor) -> Float[Tensor, "*batch rows columns"]:
        """How much of each patch a pixel mask covers.

        Args:
            mask: Bool or [0, 1], `[..., pixel rows, pixel columns]` at the model's image size; of
                clips `[..., frames, pixel rows, pixel columns]`.

        Returns:
            Shares in [0, 1] on the patch grid; of clips `[..., frames, rows, columns]`, over the
            frames of a tubelet.
        """
        frames, rows, columns = self._places()
        height, width = self.patch_size
        size = (rows * height + self.margin[0], columns * width + self.margin[1])
        n_frames = frames * self.tubelet
        size = size if n_frames == 1 else (n_frames, *size)
        if tuple(mask.shape[-len(size) :]) != size:
            raise ValueError(
                f"`mask` must be {_in_words(size)} pixels; got "
                f"{_in_words(mask.shape[-len(size) :])}. Resize it as the image was."
            )
        seen = mask[..., : rows * height, : columns * width].float()
        blocks = seen.unflatten(-1, (columns, width)).unflatten(-3, (rows, height)).mean((-3, -1))
        if n_frames == 1:
            return blocks
        return blocks.unflatten(-3, (frames, self.tubelet)).mean(-3)

    def _named(self, group: str) -> list[int]:
        after_cls = self.cls + self.distillation
        ranges = {
            "all": range(self.n_tokens),
            "cls": range(self.cls),
            "distillation": range(self.cls, after_cls),
            "registers": range(after_cls, self.n_prefix),
            "patches": range(self.n_prefix, self.n_tokens),
        }
        return self._read_by_head() if group == "readout" else list(ranges[group])

    def _read_by_head(self) -> list[int]:
        patches = range(self.n_prefix, self.n_tokens)
        ranges = {
            "cls": [*range(self.cls + self.distillation)],
            "cls_patches": [*range(self.cls), *patches],
            "first": [0],
            "patches": [*patches],
        }
        return ranges.get(self.readout, [*range(self.n_tokens)])

    def _at(self, place: tuple[Any, ...]) -> int:
        if len(place) not in (2, 3) or (len(place) == 2 and self.grid[0] > 1):
            needed = "(frame, row, column)" if self.grid[0] > 1 else "(row, column)"
            raise ValueError(
                f"A tuple of `positions` must be {needed}; got {place}. "
                "Pass a list for several token indices."
            )
        *frame, row, column = (self._whole(i) for i in place)
        return self.index(row, column, *frame)

    def _masked(self, mask: Tensor) -> list[int]:
        shapes = [(self.n_tokens,)]
        if mask.ndim > 1:
            shapes += [self._places(), self._grid()]
        if tuple(mask.shape) not in shapes:
            raise ValueError(
                f"A mask of `positions` must cover {self.n_tokens} tokens or the "
                f"{' x '.join(map(str, self._grid()))} grid; got shape {list(mask.shape)}. "
                "Use `layout.coverage` for a mask of pixels."
            )
        offset = 0 if mask.ndim == 1 else self.n_prefix
        return [offset + i for i in mask.flatten().nonzero().flatten().tolist()]

    def _grid(self) -> tuple[int, ...]:
        grid = self._places()
        return grid if grid[0] > 1 else grid[1:]

    def _places(self) -> tuple[int, int, int]:
        self.require_grid()
        return self.grid

    def require_grid(self) -> None:
        """Raises `ValueError` where the places of patches aren't known."""
        if not self.has_grid:
            raise ValueError(
                "Rows and columns of patches must be known here; got "
                f"{self.n_tokens} tokens, another number than at the model's own size. "
                "`model.layout_for(images)` knows them: pass it as `layout=` to a run that starts "
                "from a stream, or its token indices."
            )

    def _census(self) -> str:
        frames, rows, columns = self.grid
        counts = {"class": self.cls, "distillation": self.distillation, "register": self.registers}
        words = [f"{n} {word} token{'s' * (n > 1)}" for word, n in counts.items() if n]
        clip = f"{frames} x " if frames > 1 else ""
        patches = f"{clip}{rows} x {columns}" if self.has_grid else f"{self.n_patches}"
        return ", ".join([*words, f"{patches} patches"])


def _in_words(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def _from_front(dim: int, x: Tensor) -> int:
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(
            f"`dim` must be one of {x.ndim} dimensions; got {dim} for shape {list(x.shape)}. "
            "Pass `dim=`."
        )
    return dim % x.ndim
