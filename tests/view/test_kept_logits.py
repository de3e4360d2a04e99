"""What a lens keeps of many labels is exact; what it can't know, it says."""

import numpy as np
import pytest
import torch
import xarray
from scipy.stats import rankdata

from tests.view.synthetic import lens_logits, picture, token_map
from vitreous.view import PatchLens, TopLogits, unpack

TOKENS = token_map(3, 4)
LAYERS = ["embedding", "block 0", "block 1"]
NAMES = [f"label {i}" for i in range(30)]
LOGITS = lens_logits(TOKENS, 3, 30)
READOUT = LOGITS[:, 0] + np.linspace(0, 1, 30, dtype=np.float32)


def payload(logits=LOGITS, **more):
    return PatchLens(picture(), TOKENS, logits, LAYERS, NAMES, **more).payload()


def dataset(top=None):
    """As a lens gives it: of two images, the second is `LOGITS`."""
    dims = ("image", "layer", "token")
    coords = {"layer": [-1, 0, 1], "token": list(TOKENS.names)}
    rest = ("image", "layer", "label")
    both, whole = np.stack([-LOGITS, LOGITS]), np.stack([-READOUT, READOUT])
    if top is None:
        values = {
            "logit": ((*dims, "label"), both),
            "readout": (rest, whole),
        }
        return xarray.Dataset(values, coords | {"label": NAMES})
    values = {}
    for name, prefix, logits in (("logit", "", both), ("readout", "readout_", whole)):
        label = np.argsort(-logits, axis=-1)[..., :top]
        at = dims[: logits.ndim - 1]
        values[name] = ((*at, "rank"), np.take_along_axis(logits, label, -1))
        values[f"{prefix}label"] = ((*at, "rank"), label)
        values[f"{prefix}log_partition"] = (at, np.log(np.exp(logits).sum(-1)))
    return xarray.Dataset(values, coords)


def test_ranks_are_exact_for_followed_labels_and_for_those_that_lead():
    made = payload(followed=[7, 2])
    labels, ranks = unpack(made["courseLabels"]), unpack(made["courseRanks"])
    expected = rankdata(-LOGITS.astype(float), axis=-1)
    for token in range(13):
        assert np.array_equal(ranks[:, token], expected[:, token][:, labels[token]])


def test_followed_labels_come_first_and_leading_ones_hold_the_last_answer():
    labels = unpack(payload(followed=[7, 2])["courseLabels"])
    assert (labels[:, :2] == [7, 2]).all()
    assert all(LOGITS[-1, token].argmax() in labels[token] for token in range(13))


def test_leading_labels_are_those_that_reach_the_highest_probability():
    labels = unpack(payload()["courseLabels"])
    odds = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    others = set(np.argsort(-odds.max(0)[5])[:3])
    assert len(others & set(labels[5])) >= 2


def test_equal_logits_share_a_rank():
    made = payload(np.zeros_like(LOGITS), followed=[4])
    assert (unpack(made["courseRanks"]) == 1).all()


def test_the_whole_head_is_a_row_behind_the_tokens():
    made = payload(readout=READOUT, followed=[3])
    assert made["tokens"]["names"][-1] == "readout" and made["tokens"]["special"] == (0, 13)
    assert np.array_equal(unpack(made["top"])[:, 13, 0], READOUT.argmax(-1))
    assert np.array_equal(unpack(made["courseLogits"])[:, 13, 0], READOUT[:, 3])


def test_a_result_of_the_lens_shows_one_of_its_images():
    of = PatchLens.of(dataset(), picture(), TOKENS, image=1)
    expected = PatchLens(
        picture(), TOKENS, LOGITS, LAYERS, NAMES, followed=of.followed, readout=READOUT
    )
    assert of.payload() == expected.payload()
    assert list(of.followed) == np.argsort(-READOUT[-1])[:4].tolist()


def test_highest_labels_alone_show_the_same_where_they_are_known():
    full = PatchLens.of(dataset(), picture(), TOKENS, image=1).payload()
    some = PatchLens.of(dataset(top=5), picture(), TOKENS, NAMES, image=1).payload()
    for name in ("top", "topLogits", "logPartition"):
        assert np.allclose(unpack(some[name]), unpack(full[name]), atol=1e-5)
    ranks, expected = unpack(some["courseRanks"]), unpack(full["courseRanks"])
    followed = ranks[..., :4]
    assert np.array_equal(followed, np.where(expected[..., :4] <= 5, expected[..., :4], 0))
    assert (followed == 0).any()


def test_a_lens_of_the_highest_labels_needs_the_names_of_all():
    with pytest.raises(ValueError, match=r"`labels` must name all labels .* got None\. Pass the"):
        PatchLens.of(dataset(top=5), picture(), TOKENS)


def test_a_lens_of_the_whole_head_alone_has_nothing_to_show_on_patches():
    with pytest.raises(ValueError, match=r"must have read tokens; got only readout\. Read them"):
        PatchLens.of(dataset()[["readout"]], picture(), TOKENS)


def test_a_thousand_classes_at_577_tokens_stay_small():
    tokens, generator = token_map(24, 24), np.random.default_rng(0)
    logits = generator.normal(size=(13, 577, 1000)).astype(np.float32)
    names = [f"class {i}" for i in range(1000)]
    layers = [str(i) for i in range(13)]
    made = PatchLens(picture(), tokens, logits, layers, names, followed=[1, 2, 3, 4])
    assert len(made.html()) < 2e6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_any_precision_are_shown(dtype):
    logits = torch.from_numpy(LOGITS).to(dtype)
    assert np.array_equal(unpack(payload(logits)["top"])[..., 0], logits.argmax(-1).numpy())


def test_one_label_one_layer_and_one_patch_are_enough():
    lens = PatchLens(picture(), token_map(1, 1, ()), np.zeros((1, 1, 1)), ["block 0"], ["one"])
    assert unpack(lens.payload()["courseLabels"]).tolist() == [[0]]


def test_a_followed_label_must_be_there():
    with pytest.raises(ValueError, match=r"`followed` must lie in 0\.\.29; got \[30\]\. Pass ind"):
        payload(followed=[30])


def test_colors_and_groups_are_one_per_label():
    with pytest.raises(ValueError, match="`colors` must have one entry per label; got 1 for 30"):
        payload(colors=["#000000"])


def test_logits_that_are_no_numbers_are_refused():
    logits = LOGITS.copy()
    logits[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match=r"must be finite; got 1 of 1170 that are not\. Look for"):
        payload(logits)


def test_what_is_kept_of_logits_is_their_top():
    top = TopLogits.of(LOGITS, 2)
    assert np.array_equal(top.label[..., 0], LOGITS.argmax(-1))


def test_labels_of_one_group_have_alike_colors_and_all_differ():
    groups = ["animal/cat"] * 3 + ["tool/hammer"] * 3
    colors = PatchLens(
        picture(), TOKENS, LOGITS[..., :6], LAYERS, NAMES[:6], groups=groups
    ).payload()["colors"]
    red = np.array([int(color[1:3], 16) for color in colors])
    assert len(set(colors)) == 6
    assert red[:3].min() > red[3:].max() or red[3:].min() > red[:3].max()


def test_a_label_keeps_its_color_whatever_else_is_shown():
    assert payload()["colors"] == payload(followed=[1], readout=READOUT)["colors"]
