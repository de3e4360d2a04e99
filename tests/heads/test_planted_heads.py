"""Heads whose weights were set by hand: each score finds its own."""

import pytest
import torch

from tests.heads.planted import FIRST, N_RANDOM, SECOND, planted_images, planted_model
from vitreous.heads import HEAD_SCORES, name_heads, score_heads

N_HEADS = len(FIRST) + N_RANDOM
PLANTED = {name: i for i, name in enumerate(FIRST)} | {
    name: N_HEADS + i for i, name in enumerate(SECOND)
}
# No pattern changes more than one on a single word, elsewhere in each image.
PLANTED["content"] = PLANTED["text"]
# The patch in front is at an offset, too; and copies are those of the query or of the one in front.
EQUALS = {"offset": ["offset", "before"], "induction": ["induction", "completion"]}
BY_PLACE = FIRST[:13]


@pytest.fixture(scope="module", params=["pattern", "scores"])
def found(request):
    pixels, masks = planted_images(24)
    return score_heads(planted_model(), pixels, masks=masks, of=request.param)


@pytest.mark.parametrize("name", sorted({*HEAD_SCORES} - {"content"}))
def test_each_score_ranks_its_planted_head_first(found, name):
    values = torch.from_numpy(found["mean"].sel(score=name).values).flatten()
    if found.attrs["of"] == "scores" and not HEAD_SCORES[name].of_scores:
        assert values.isnan().all()
        return
    wanted = {PLANTED[each] for each in EQUALS.get(name, [name])}
    ranked = values.nan_to_num(-torch.inf).argsort(descending=True).tolist()
    assert set(ranked[: len(wanted)]) == wanted


def test_content_tells_heads_that_read_the_picture_from_heads_that_go_by_place(found):
    values = torch.from_numpy(found["mean"].sel(score="content").fillna(0).values).flatten()
    assert values[[PLANTED[name] for name in BY_PLACE]].max() < 1e-6
    assert values[[PLANTED[name] for name in ("duplicate", "foreground", "text")]].min() > 0.5
    if found.attrs["of"] == "pattern":
        assert values.argmax() == PLANTED["text"]


def test_planted_heads_earn_their_names_and_random_heads_at_most_that_of_content():
    pixels, masks = planted_images(24)
    names = name_heads(score_heads(planted_model(), pixels, masks=masks))
    earned = {}
    for name in names:
        earned.setdefault(name.layer * N_HEADS + name.head, []).append(name)
    for job in {*PLANTED} - {"before", "completion", "distance"}:
        assert job in [name.score for name in earned[PLANTED[job]]], job
    others = [name for place in range(len(FIRST), N_HEADS) for name in earned.get(place, [])]
    assert {name.score for name in others} <= {"content"}
    assert str(earned[PLANTED["corner"]][0]) == "L0H8: corner head, 1.00"
    assert str(earned[PLANTED["offset"]][0]) == "L0H5: offset head (1 down, 2 right), 1.00"
    assert str(earned[PLANTED["modulus"]][0]) == "L0H10: modulus head (columns, period 3), 1.00"
    assert str(earned[PLANTED["sink"]][0]) == "L0H2: sink head (r2c3), 1.00"
    assert str(earned[PLANTED["local"]][0]) == "L0H11: local head (radius 1), 1.00"
    copies = [
        name.best
        for job in ("induction", "completion")
        for name in earned[PLANTED[job]]
        if name.score == "induction"
    ]
    assert copies == ["behind copies of itself", "behind copies of the patch before"]
