"""A small set of heads that decides between two predictions."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
import xarray
from jaxtyping import Bool, Int
from torch import Tensor

from vitreous.data import Images
from vitreous.models import HookedViT, Target, as_numbers
from vitreous.patching._patched_sets import PatchedSets
from vitreous.patching._runs import Direction, require_one_of
from vitreous.patching._switch_question import SwitchQuestion
from vitreous.patching._switch_search import Found, Members, Search, search

SwitchOver = Literal["heads", "heads_and_positions"]


def find_switch(
    model: HookedViT,
    clean: Tensor | Images,
    corrupt: Tensor | Images,
    target: Target | Any = None,
    *,
    direction: Direction = "denoise",
    over: SwitchOver = "heads",
    max_size: int | None = None,
    enumerate_up_to: int = 1000,
    max_batch: int = 256,
) -> xarray.Dataset:
    """Finds, for each pair, a small set of heads whose patching flips the prediction.

    Greedy first: the head whose patch moves the answer most, then the one that moves it most
    beside it, until the answer flips. Then members that the rest can do without are dropped, and
    two are exchanged for one, until nothing changes: **no single member can be dropped**. That
    is a minimal set, not the smallest: a set is called smallest only where all smaller ones were
    run and none flips the answer.

    A flip is a sufficient cause in this pair of images, not the whole mechanism: other sets may
    flip it as well, and what the patched heads carry may have been written by earlier ones.

    Args:
        model: Any `HookedViT` without active hooks.
        clean: Preprocessed images, one pair per row.
        corrupt: The other image of each pair.
        target: A difference, such as `model.target("cat", minus="dog")`: the answer is its sign.
            None means the predicted class, among all.
        direction: `"denoise"` patches heads of the clean run into the corrupt one until the
            answer is that of the clean image; `"noise"` the other way round.
        over: `"heads"`, each at all tokens, or `"heads_and_positions"`, each at one token.
        max_size: The most heads to add; None means 32, or all of them where there are fewer.
        enumerate_up_to: The most sets to run, per pair, in proving that none is smaller.
        max_batch: The most runs that share a batch.

    Returns:
        Per pair, `member[pair, layer, head]` (and `token`); `switch`, its members as text;
        `size`, 0 where no set flips the answer; `is_smallest`, whether that is proved; `before`
        and `after`, the target in the base run without and with the patch, in units of the
        output; `clean` and `corrupt`, the target of the two images; `runs`, the sets tried.

    Raises:
        ValueError: The answer is the same on both images of a pair.
        HookError: The model has active hooks.

    References:
        Our own search. The question is that of Joseph and Nanda, "Laying the Foundations for
        Vision and Multimodal Mechanistic Interpretability & Open Problems", 2024 (one head turns
        a cat into a dog). Proved on a planted switch, and by enumerating small random models.
    """
    require_one_of("over", over, get_args(SwitchOver))
    question = SwitchQuestion.of(model, clean, corrupt, target, direction, max_batch)
    places = _places(question.sets, over)
    n_candidates = len(places)
    max_size = min(32, n_candidates) if max_size is None else max_size
    searches = [
        search(n_candidates, max_size=max_size, enumerate_up_to=enumerate_up_to)
        for _ in range(len(question.pairs))
    ]
    found = _carried_out(searches, question, places)
    return _as_dataset(question, found, places, over)


def _places(sets: PatchedSets, over: SwitchOver) -> Int[Tensor, "components 3"]:
    """Layer, head and position of each candidate."""
    n_layers, _, n_tokens, n_heads, _ = sets.given.shape
    n_positions = n_tokens if over == "heads_and_positions" else 1
    sizes = [torch.arange(n) for n in (n_layers, n_heads, n_positions)]
    return torch.cartesian_prod(*sizes)


def _as_mask(
    sets: Sequence[Members], places: Int[Tensor, "components 3"]
) -> Bool[Tensor, "sets layers heads positions"]:
    shape = (places.amax(0) + 1).tolist()
    mask = torch.zeros(len(sets), *shape, dtype=torch.bool)
    for row, members in enumerate(sets):
        layer, head, position = places[sorted(members)].unbind(1)
        mask[row, layer, head, position] = True
    return mask


def _carried_out(
    searches: list[Search], question: SwitchQuestion, places: Int[Tensor, "components 3"]
) -> list[Found]:
    """Runs all searches side by side: what they ask in a round shares its batches."""
    asked = {pair: next(each) for pair, each in enumerate(searches)}
    found: dict[int, Found] = {}
    while asked:
        rows = torch.tensor([pair for pair, sets in asked.items() for _ in sets])
        patched = _as_mask([one for sets in asked.values() for one in sets], places)
        progress = iter(question.progress(rows, patched)[0].tolist())
        answers = {pair: [next(progress) for _ in sets] for pair, sets in asked.items()}
        asked = {}
        for pair, answer in answers.items():
            try:
                asked[pair] = searches[pair].send(answer)
            except StopIteration as end:
                found[pair] = end.value
    return [found[pair] for pair in range(len(searches))]


def _as_dataset(
    question: SwitchQuestion, found: list[Found], places: Tensor, over: SwitchOver
) -> xarray.Dataset:
    pairs, members = question.pairs, _as_mask([one.members for one in found], places)
    rows = torch.arange(len(pairs))
    before = question.progress(rows, torch.zeros_like(members))[1]
    after = question.progress(rows, members)[1]
    layout = pairs.model.layout_for(pairs.clean)
    tokens = layout.names() if over == "heads_and_positions" else None
    dims = ("pair", "layer", "head") + ("token",) * (tokens is not None)
    table = members if tokens is not None else members[..., 0]
    sizes = [len(one.members) for one in found]
    return xarray.Dataset(
        {
            "member": (dims, table.numpy()),
            "switch": ("pair", [_named(one.members, places, tokens) for one in found]),
            "size": ("pair", sizes),
            "is_smallest": ("pair", [one.is_smallest for one in found]),
            "before": ("pair", as_numbers(before)),
            "after": ("pair", as_numbers(after)),
            "clean": ("pair", as_numbers(pairs.clean_value)),
            "corrupt": ("pair", as_numbers(pairs.corrupt_value)),
            "runs": ("pair", [one.runs for one in found]),
        },
        coords={
            "layer": np.arange(table.shape[1]),
            "head": np.arange(table.shape[2]),
            **({} if tokens is None else {"token": tokens}),
        },
        attrs={
            "target_name": pairs.target.name,
            "direction": question.direction,
            "unit": "logit",
        },
    )


def _named(members: Members, places: Tensor, tokens: list[str] | None) -> str:
    names = []
    for layer, head, position in places[sorted(members)].tolist():
        at = "" if tokens is None else f"@{tokens[position]}"
        names.append(f"L{layer}H{head}{at}")
    return " + ".join(names) or "none"
