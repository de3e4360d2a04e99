"""What a head may look at: one function per score."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.heads._places import Places
from vitreous.heads._seen import Seen, Setting, calibrated

Values = Float[Tensor, "batch heads components"]

_LONGEST_PERIOD = 8
_WIDEST = 3
_ZERO = (0, 0, 0)

# ---- keys of one kind


def cls(seen: Seen) -> Values | None:
    """Attention of all other tokens to the class token. Needs one."""
    layout = seen.places.layout
    return _to_tokens(seen, range(layout.cls)) if layout.cls else None


def registers(seen: Seen) -> Values | None:
    """Attention of all other tokens to the registers. Needs some."""
    first = seen.places.layout.cls + seen.places.layout.distillation
    tokens = range(first, seen.places.layout.n_prefix)
    return _to_tokens(seen, tokens) if len(tokens) else None


def sink(seen: Seen) -> Values | None:
    """Attention to one fixed patch, the same in every image, by all tokens but itself.

    The patch is the one with the highest mean over images, among those that at least half of the
    tokens can see.
    """
    setting, first = seen.setting, seen.places.layout.n_prefix
    itself = torch.eye(len(setting.visible), dtype=torch.bool, device=setting.visible.device)
    others = setting.visible & setting.selected[:, None] & ~itself
    n_others = others.sum(0)
    means = (seen.single_keys() * others).sum(2) / n_others
    if setting.of == "pattern":
        means = calibrated(means, (setting.uniform * others).sum(0) / n_others, torch.tensor(1.0))
    is_rare = n_others < (setting.selected[:, None] & ~itself).sum(0) / 2
    return means.masked_fill(is_rare, torch.nan)[..., first:]


def corner(seen: Seen) -> Values:
    """Attention to the four corners of the grid (of every frame). Needs patches elsewhere."""
    places = seen.places
    return _to_some_patches(seen, places.is_border_row & places.is_border_column)


def edges(seen: Seen) -> Values:
    """Attention to the border of the grid without its corners. Needs patches inside."""
    places = seen.places
    border = places.is_border_row | places.is_border_column
    if border.all():
        return _to_some_patches(seen, border)
    return _to_some_patches(seen, places.is_border_row ^ places.is_border_column)


# ---- keys at a place relative to the query's


def itself(seen: Seen) -> Values:
    """Attention of patches to themselves."""
    n_patches = seen.places.layout.n_patches
    same = torch.eye(n_patches, device=seen.attention.device)
    return seen.match(seen.places.between_patches(same)[None, None])


def offset(seen: Seen) -> Values | None:
    """Attention of patches to the patch at one fixed offset from them, other than none.

    The offset is the one with the highest mean over images, among those that lead at least half of
    the patches to another; the others don't count.
    """
    setting = seen.setting
    kept, share = _common_offsets(setting)
    found = seen.by_offset[..., kept] / share
    if setting.of == "scores":
        return found
    chance = setting.mean_by_offset(setting.uniform[None, None])[..., kept] / share
    return calibrated(found, chance, torch.ones_like(chance))


def row(seen: Seen) -> Values:
    """Attention of patches spread over their own row, beyond the best single offset."""
    frames, rows, _ = seen.places.offsets.unbind(1)
    return seen.match_beyond(_each_alone((frames == 0) & (rows == 0))[None])


def column(seen: Seen) -> Values:
    """Attention of patches spread over their own column, beyond the best single offset."""
    frames, _, columns = seen.places.offsets.unbind(1)
    return seen.match_beyond(_each_alone((frames == 0) & (columns == 0))[None])


def local(seen: Seen) -> Values:
    """Attention of patches spread over the patches around them, beyond the best single offset.

    A neighborhood of radius 1 is 3 x 3 patches with the query in the middle. The radius, up to 3,
    is the one with the highest mean over images.
    """
    frames, rows, columns = seen.places.offsets.unbind(1)
    far = torch.maximum(rows.abs(), columns.abs()).masked_fill(frames != 0, _WIDEST + 1)
    return seen.match_beyond(torch.stack([_each_alone(far <= r) for r in _radii()]))


def modulus(seen: Seen) -> Values | None:
    """Attention of patches spread over patches whole periods away, beyond a single distance.

    Periods run along rows, along columns, or in reading order (row x columns + column) and are at
    most 8 and half the grid; in reading order those that say something else, and one patch more or
    less than a row, which makes diagonals. Distance 0 is among the distances that alone explain
    nothing: a head that looks along its row has no period of rows. The period is the one with the
    highest mean over images.
    """
    periods = _periods(seen.places)
    if not periods:
        return None
    return seen.match_beyond(torch.stack([_whole_periods(seen.places, *each) for each in periods]))


# ---- how wide, and how fixed


def uniform(seen: Seen) -> Values:
    """Entropy of each token's pattern as a part of the highest, log of the keys that it sees."""
    n_visible = seen.setting.visible.sum(-1).double()
    counts = seen.setting.selected & (n_visible > 1)
    entropy = torch.special.entr(seen.attention).sum(-1) / n_visible.log()
    return entropy[..., counts].mean(-1, keepdim=True)


def distance(seen: Seen) -> Values:
    """Mean distance from a patch to those that it attends to, in patches, within a frame.

    Attention to other tokens doesn't count, and that to patches is scaled to one per image.
    """
    places, chosen = seen.places, seen.setting.patches
    return places.mean_over_pairs(seen.attention, places.distances(), chosen)[..., None]


# ---- what the picture holds


def duplicate(seen: Seen) -> Values:
    """Attention of patches to other patches that show the same."""
    same = seen.pictures.same & ~torch.eye(
        seen.places.layout.n_patches, dtype=torch.bool, device=seen.attention.device
    )
    return seen.match(seen.places.between_patches(same)[:, None])


def induction(seen: Seen) -> Values:
    """Attention of patches to the patch behind an earlier copy, in reading order.

    A copy of the query itself, as in language models, where it tells what comes next; or of the
    patch in front of the query, where that is hidden and asks what it is. The one with the higher
    mean over images counts. Keys that show the same as the query don't count: where a row of
    motifs repeats itself, they tell no induction head from a duplicate head.
    """
    same = seen.pictures.same
    of_itself, of_before = torch.zeros_like(same), torch.zeros_like(same)
    of_itself[:, :, 1:] = same.tril(-1)[:, :, :-1]
    of_before[:, 1:, 1:] = same[:, :-1, :-1].tril(-1)
    behind = torch.stack([of_itself, of_before], 1) & ~same[:, None]
    return seen.match(seen.places.between_patches(behind))


def foreground(seen: Seen) -> Values | None:
    """Attention to patches of objects, each counted by how much of it they cover. Needs masks."""
    return _to_covered(seen, seen.pictures.objects)


def text(seen: Seen) -> Values | None:
    """Attention to patches of painted words, by how much of each they cover. Needs masks."""
    return _to_covered(seen, seen.pictures.words)


# ---- the names of what a score tries


def sinks(setting: Setting) -> list[str]:
    return setting.places.layout.names()[setting.places.layout.n_prefix :]


def offsets(setting: Setting) -> list[str]:
    kept, _ = _common_offsets(setting)
    return [_in_words(*each) for each in setting.places.offsets[kept].tolist()]


def radii(setting: Setting) -> list[str]:
    return [f"radius {radius}" for radius in _radii()]


def copied(setting: Setting) -> list[str]:
    return ["behind copies of itself", "behind copies of the patch before"]


def periods(setting: Setting) -> list[str]:
    return [f"{along}, period {period}" for along, period in _periods(setting.places)]


# ---- parts


def _to_tokens(seen: Seen, tokens: range) -> Values:
    template = torch.zeros_like(seen.setting.uniform)
    template[:, list(tokens)] = 1
    template[list(tokens)] = 0
    return seen.match(template[None, None])


def _to_some_patches(seen: Seen, patches: Tensor) -> Values:
    """NaN where these are all patches."""
    keys = seen.places.of_patches(patches & ~patches.all())
    return seen.match(keys.expand(len(keys), -1)[None, None])


def _to_covered(seen: Seen, coverage: Float[Tensor, "batch patches"] | None) -> Values | None:
    if coverage is None:
        return None
    keys = seen.places.of_patches(coverage)
    return seen.match(keys[:, None, None].expand(-1, 1, keys.shape[1], -1))


def _common_offsets(setting: Setting) -> tuple[Tensor, Tensor]:
    """Offsets that at least half of the selected patches have, and the part that has them."""
    share = setting.mean_by_offset(setting.visible.double()[None, None])[0, 0]
    kept = (share >= 0.5) & (setting.places.offsets != 0).any(1)
    return kept.nonzero().flatten(), share[kept]


def _each_alone(inside: Tensor) -> Int[Tensor, " components"]:
    """Every offset of a set as a group of its own."""
    return torch.where(inside, torch.arange(len(inside), device=inside.device), -1)


def _radii() -> range:
    return range(1, _WIDEST + 1)


def _periods(places: Places) -> list[tuple[str, int]]:
    _, rows, columns = places.sizes
    found = [("columns", p) for p in _up_to(columns // 2)]
    found += [("rows", p) for p in _up_to(rows // 2)]
    if rows == 1 or columns == 1:
        return found
    reading = {*_up_to(columns), columns - 1, columns + 1} - {1}
    return found + [("reading order", p) for p in sorted(reading) if columns % p]


def _up_to(longest: int) -> range:
    return range(2, min(longest, _LONGEST_PERIOD) + 1)


def _whole_periods(places: Places, along: str, period: int) -> Int[Tensor, " components"]:
    """Offsets of whole periods within a frame, grouped by distance."""
    frames, rows, columns = places.offsets.unbind(1)
    far = {
        "columns": columns,
        "rows": rows,
        "reading order": rows * places.sizes[2] + columns,
    }[along]
    inside = (frames == 0) & (far % period == 0)
    return torch.where(inside, far - far.min(), -1)


def _in_words(frames: int, rows: int, columns: int) -> str:
    """Where an offset leads: `1 up, 2 right`."""
    steps = [(frames, "back", "on"), (rows, "up", "down"), (columns, "left", "right")]
    return ", ".join(f"{abs(n)} {back if n < 0 else on}" for n, back, on in steps if n)
