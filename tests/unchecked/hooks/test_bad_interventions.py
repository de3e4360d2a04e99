"""What interventions say to arguments, models and runs that they can't take."""

import pytest
import torch

from tests.tiny import READOUTS, images_of, random_model
from vitreous.hooks import (
    ActivationPatch,
    AttentionMask,
    Batched,
    CausalMask,
    Freeze,
    KnockOut,
    ShiftPeak,
    SwapSubspace,
    site,
    wrap,
)

MODEL = random_model()  # a class token and six patches
IMAGES = images_of(MODEL)
CLIPS = random_model(**READOUTS["clips, attention over time and over space"])
CACHE = MODEL.run_with_cache(IMAGES)[1]
WRAPPED = wrap(torch.nn.Sequential(torch.nn.Linear(3, 3)))
RESID = "blocks.0.hook_resid_post"


def run(make, model=MODEL):
    with model.intervene(make()):
        model(images_of(model))


def message_of(error, action):
    with pytest.raises(error) as raised:
        action()
    message = str(raised.value)
    assert "\n" not in message and message.endswith(".")
    assert not any(point.fwd_hooks for point in MODEL.hook_dict.values())
    return message


def pairs(*shape):
    return torch.zeros(*shape, dtype=torch.bool)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: KnockOut("cls", "all", layers=1),
            "Every query must be left a key to look at; KnockOut(layers=1, queries='cls', "
            "keys='all') leaves none at `blocks.1.attn.hook_attn_scores` to query 0.",
        ),
        (lambda: KnockOut("all", "all"), "to queries 0, 1, 2 and more. Hide fewer keys, or knock"),
        (lambda: [KnockOut("cls", "patches"), KnockOut("cls", 0)], "leaves none at"),
        (
            lambda: KnockOut("cls", "registers"),
            "`positions` must select a token; got 'registers', which selects none of 7.",
        ),
        (lambda: KnockOut("cls", [9]), "A token index must lie in 0..6; got 9."),
        (lambda: KnockOut("cls", "cls", layers=3), "`layers` must lie in 0..2; got [3]."),
        (lambda: KnockOut("cls", 1, layers=[]), "`layers` must lie in 0..2; got no index at all."),
        (lambda: KnockOut("cls", 1, heads=4), "`heads` must lie in 0..3; got [4]."),
        (
            lambda: KnockOut("pooling", "cls"),
            "queries='pooling' needs a model that is read by attention pooling; got pooling 'cls'.",
        ),
        (
            lambda: KnockOut("pooling", "cls", both_ways=True),
            "The query of an attention pooling stands in no layer and is no key; got `layers`,",
        ),
        (
            lambda: AttentionMask(pairs(6, 6)),
            "`mask` must be 7 x 7 (queries x keys) in this pass; got 6 x 6.",
        ),
        (lambda: AttentionMask(torch.zeros(7, 7)), "got float32[7, 7]. Pass True where a query"),
        (lambda: AttentionMask(pairs(7)), "`mask` must be bool, [queries, keys] or [images,"),
        (
            lambda: AttentionMask(pairs(3, 7, 7)),
            "A mask per image must have one for each of 2; got 3.",
        ),
        (lambda: CausalMask("columns"), "`order` must be 'reading', 'reversed' or a permutation"),
        (
            lambda: CausalMask([0, 1, 2, 3, 4, 4]),
            "`order` must name each of the 6 patches of this pass once; got 6 numbers.",
        ),
        (lambda: CausalMask(range(5)), "got 5 numbers. Pass a permutation of 0..5."),
        (
            lambda: CausalMask(prefix="middle"),
            "`prefix` must be 'last', 'first' or 'free'; got 'middle'.",
        ),
        (lambda: CausalMask(prefix={"cls": "middle"}), "'first' or 'free'; got 'middle'."),
        (
            lambda: CausalMask(prefix={"patches": "first"}),
            "`prefix` must name tokens that are no patches; got 'patches'.",
        ),
        (lambda: CausalMask(prefix={"registers": "first"}), "got 'registers', which selects none"),
        (lambda: Freeze(CACHE, ()), "`what` must say what to freeze; got nothing."),
        (
            lambda: Freeze({RESID: CACHE[RESID][:, :3]}, RESID),
            f"Values for `{RESID}` must fit [2, 7, 16]; got [2, 3, 16].",
        ),
        (lambda: SwapSubspace(RESID, torch.zeros(0, 16), CACHE), "got shape [0, 16]. Pass a"),
        (lambda: SwapSubspace(RESID, torch.ones(16), CACHE), "`basis` must be one or more vectors"),
        (
            lambda: SwapSubspace(RESID, torch.ones(2, 16), CACHE),
            "linearly independent; got 2 of rank 1 in width 16.",
        ),
        (lambda: SwapSubspace(RESID, torch.zeros(1, 16), CACHE), "got 1 of rank 0 in width 16."),
        (lambda: SwapSubspace(RESID, torch.eye(16)[:3] / 0, CACHE), "`basis` must be finite;"),
        (
            lambda: SwapSubspace("L0H1", torch.ones(1, 16), CACHE),
            "`basis` must have vectors of width 4 at `blocks.0.attn.hook_z`; got 16.",
        ),
        (
            lambda: ActivationPatch(RESID, CACHE, "clean"),
            "`direction` must be 'denoise', 'noise' or None; got 'clean'.",
        ),
        (lambda: ShiftPeak("L0N1"), "got 'registers', which selects none of 7."),
        (lambda: ShiftPeak("L0N1", "all"), "`to` must leave a token to take the value from;"),
        (
            lambda: ShiftPeak(site("L0N1", positions="patches"), "cls"),
            "`ShiftPeak` needs a site with all tokens of a model that knows them; got "
            "L0N1[positions=patches] at `blocks.0.mlp.hook_post`.",
        ),
        (
            lambda: Batched.of([KnockOut("cls", 1), [], []]),
            "The batch must divide into 3 equal parts, one per group of interventions; got 2 rows.",
        ),
    ],
)  # fmt: skip
def test_it_is_said_in_one_line(make, says):
    assert says in message_of(ValueError, lambda: run(make))


def test_a_run_that_lacks_a_value_is_told_so():
    message = message_of(KeyError, lambda: run(lambda: Freeze({"hook_embed": CACHE[RESID]}, RESID)))
    assert message.startswith(f"No value is named '{RESID}'.")
    message = message_of(KeyError, lambda: run(lambda: ActivationPatch(RESID, {})))
    assert message.startswith(f"No value is named '{RESID}'.")


def test_what_to_freeze_is_a_mapping():
    message = message_of(TypeError, lambda: Freeze(IMAGES))
    assert message.startswith("`source` must be the cache of a run, or tensors by hook name; got")


def test_a_model_without_what_is_to_be_frozen_says_so():
    model = random_model(**READOUTS["attention only, RMSNorm"])
    message = message_of(ValueError, lambda: Freeze.of(model, images_of(model), "mlps"))
    assert message.startswith("There must be something to freeze; this model has no mlps there.")


def test_parts_of_a_wrapped_module_have_no_names():
    for make, what in (
        (lambda: KnockOut("cls", "patches"), "scores"),
        (lambda: Freeze.of(WRAPPED, torch.zeros(1, 3), "norms"), "norms"),
    ):

        def intervene(make=make):
            with WRAPPED.intervene(make()):
                WRAPPED(torch.zeros(1, 3))

        message = message_of(ValueError, intervene)
        assert message.startswith(f"`WrappedModule` must know its parts to tell where its {what}")


def test_a_frame_of_which_a_class_token_sees_nothing_is_refused():
    layout = CLIPS.layout
    frame = [layout.index(row, column, 1) for row in range(3) for column in range(2)]
    message = message_of(ValueError, lambda: run(lambda: KnockOut("cls", [0, *frame]), CLIPS))
    assert message.startswith("Tokens in front of the patches must be left a key in each frame")
