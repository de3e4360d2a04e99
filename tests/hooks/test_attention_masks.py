"""Who attends to whom under a mask: against the definition, and what must follow from it."""

import functools

import pytest
import torch

from tests.laws._models import assert_equal
from tests.laws._texts import build_text
from tests.tiny import READOUTS, images_of, random_model
from vitreous.hooks import AttentionMask, Batched, CausalMask, KnockOut
from vitreous.models import (
    AttentionConfig,
    HookedTextConfig,
    HookedViT,
    PoolingConfig,
    ResampleConfig,
    resample_positions,
)


@functools.cache
def model_of(name: str) -> HookedViT:
    return random_model(**READOUTS[name])


def under(model, interventions, images=None):
    with torch.no_grad(), model.intervene(interventions):
        return model(images_of(model) if images is None else images)


def run(model, interventions=(), images=None):
    with torch.no_grad(), model.intervene(interventions):
        return model.run_with_cache(images_of(model) if images is None else images)[1]


def hidden_pairs(model, queries, keys):
    n = model.layout.n_tokens
    return torch.tensor([[q in queries and k in keys for k in range(n)] for q in range(n)])


def renormalized(pattern, hidden):
    """The definition, on what a softmax has made: zeros, and rows that sum to one again."""
    kept = pattern * ~hidden
    return kept / kept.sum(-1, keepdim=True)


with_registers = functools.partial(model_of, "registers, ln_pre, LayerScale")


# ---- knock-out


def test_a_knock_out_takes_attention_away_and_spreads_it_over_the_rest():
    model = with_registers()
    before = run(model)
    after = run(model, KnockOut("cls", "registers", layers=1))
    hidden = hidden_pairs(model, [0], [1, 2])
    assert_equal(after["pattern", 1], renormalized(before["pattern", 1], hidden))
    assert_equal(after["pattern", 0], before["pattern", 0])
    assert after["pattern", 1][:, :, 0, 1:3].abs().max() == 0
    assert (after["z", 1] - before["z", 1])[:, 0].abs().max() > 1e-3
    assert_equal(after["z", 1][:, 1:], before["z", 1][:, 1:])


def test_a_knock_out_reaches_the_heads_and_layers_that_it_names():
    model = with_registers()
    before, after = run(model), run(model, KnockOut("all", "cls", layers=-3, heads=[1, 3]))
    changed = (after["pattern", 0] - before["pattern", 0]).abs().amax((0, 2, 3)) > 1e-6
    assert changed.tolist() == [False, True, False, True]
    with model.intervene(KnockOut("all", "cls", layers=[1])):
        watched = [block.attn.hook_attn_scores.watched for block in model.blocks]
        assert watched == [False, True, False]
        model(images_of(model))


def test_both_ways_is_two_knock_outs():
    model = with_registers()
    once = under(model, KnockOut("registers", "patches", both_ways=True))
    two = [KnockOut("registers", "patches"), KnockOut("patches", "registers")]
    assert_equal(once, under(model, two))
    assert (once - under(model, two[:1])).abs().max() > 1e-3


def test_a_token_may_be_spared_to_itself():
    model = with_registers()
    pattern = run(model, KnockOut("all", "all", spare_self=True))["pattern", 2]
    assert_equal(pattern, torch.eye(model.layout.n_tokens).double().expand_as(pattern))


def test_tokens_go_by_index_place_and_mask():
    model = with_registers()
    expected = under(model, KnockOut([4], [3, 6]))
    grid = torch.zeros(3, 2, dtype=torch.bool)
    grid[0, 0] = grid[1, 1] = True
    assert torch.equal(under(model, KnockOut((0, 1), grid)), expected)
    tokens = torch.zeros(9, dtype=torch.bool)
    tokens[[3, 6]] = True
    assert torch.equal(under(model, KnockOut(4, tokens.numpy())), expected)


@pytest.mark.parametrize("readout", READOUTS)
def test_a_knock_out_is_the_mask_of_its_pairs_on_every_model(readout):
    model = model_of(readout)
    last = model.layout.n_tokens - 1
    pairs = hidden_pairs(model, range(last), [last])
    knock = KnockOut(list(range(last)), last)
    if model.cfg.divides_space_time:  # its place in other frames is all it sees over time
        knock, pairs = KnockOut([6], last), hidden_pairs(model, [6], [last])
    if model.cfg.attention.causal:
        knock, pairs = KnockOut(last, 0), hidden_pairs(model, [last], [0])
    changed = under(model, knock)
    assert torch.equal(changed, under(model, AttentionMask(pairs)))
    assert changed.isfinite().all()
    assert (changed - model(images_of(model))).abs().max() > 1e-6


@pytest.mark.parametrize("readout", READOUTS)
def test_a_mask_that_hides_nothing_changes_nothing(readout):
    model = model_of(readout)
    n = model.layout.n_tokens
    nothing = AttentionMask(torch.zeros(n, n, dtype=torch.bool))
    assert_equal(under(model, nothing), model(images_of(model)))


def test_hiding_what_nobody_sees_changes_nothing():
    model = model_of("causal")
    assert_equal(under(model, KnockOut([0, 1], [2, 3, 4])), model(images_of(model)))


def test_a_mask_per_image_hides_other_keys_in_each():
    model = with_registers()
    pairs = [hidden_pairs(model, [0], keys) for keys in ([3, 4], [7])]
    both = under(model, AttentionMask(torch.stack(pairs)))
    for image, mask in enumerate(pairs):
        assert_equal(both[image], under(model, AttentionMask(mask))[image])


def test_the_query_of_an_attention_pooling_can_be_knocked_out():
    model = model_of("attention pooling")
    name = "pooling.map.hook_pattern"
    before, after = run(model), run(model, KnockOut("pooling", [3]))
    hidden = torch.tensor([[token == 3 for token in range(6)]])
    assert_equal(after[name], renormalized(before[name], hidden))
    assert_equal(after["resid_post", 2], before["resid_post", 2])


def test_knock_outs_are_differentiated_through():
    model = with_registers()
    with model.intervene(KnockOut("cls", "registers", layers=2)):
        _, cache = model.run_with_cache(
            images_of(model), names_filter="blocks.2.attn.hook_v", incl_bwd=lambda o: o[:, 0]
        )
    gradient = cache["blocks.2.attn.hook_v_grad"]
    assert gradient[:, 1:3].abs().max() == 0  # the class token, which is read, hears no register
    assert gradient[:, 3:].abs().min() > 0


def test_parts_of_a_batch_have_masks_of_their_own():
    model = with_registers()
    images = images_of(model)
    groups = [KnockOut("cls", "patches"), CausalMask(), []]
    together = under(model, Batched.of(groups), images.repeat(3, 1, 1, 1))
    for part, group in zip(together.chunk(3), groups, strict=True):
        assert_equal(part, under(model, group, images))


def test_masks_keep_half_precision():
    model = random_model(**READOUTS["class token"]).to(torch.bfloat16)
    changed = under(model, [KnockOut("cls", (0, 0)), CausalMask()])
    assert changed.dtype == torch.bfloat16 and changed.isfinite().all()


def test_words_are_knocked_out_of_texts():
    cfg = HookedTextConfig(
        2, 16, 2, d_mlp=9, vocab_size=11, n_ctx=5, pad_token=0, pooling=PoolingConfig("first"),
        attention=AttentionConfig(causal=True),
    )  # fmt: skip
    model, texts = build_text(cfg), torch.tensor([[3, 4, 2, 0, 0], [5, 6, 7, 8, 9]])
    before, after = run(model, (), texts), run(model, KnockOut([1, 2], 0), texts)
    hidden = torch.zeros(5, 5, dtype=torch.bool)
    hidden[1:3, 0] = True
    assert_equal(after["pattern", 0], renormalized(before["pattern", 0], hidden))
    with pytest.raises(KeyError, match="group of tokens is named 'patches'"):
        run(model, CausalMask(), texts)


def test_a_pass_over_another_size_is_masked_too():
    model = resample_positions(model_of("class token"), ResampleConfig())
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    cache = run(model, [KnockOut("cls", "cls"), CausalMask(prefix="free")], images)
    seen = cache["pattern", 1][0, 0] > 0
    assert torch.equal(seen[1:, 1:], torch.ones(16, 16).tril().bool())
    assert seen[0].tolist() == [False] + [True] * 16 and seen[1:, 0].all()


# ---- one way


def test_a_model_behind_a_causal_mask_is_the_causal_model():
    shared = {"pooling": PoolingConfig("mean")}
    plain = random_model(**shared)
    causal = random_model(**shared, attention=AttentionConfig(causal=True))
    assert_equal(under(plain, CausalMask(prefix="first")), causal(images_of(plain)))


def influence(model, mask):
    """Which stream (columns) a change of which token (rows) reaches in the end."""
    n = model.layout.n_tokens
    with torch.no_grad(), model.intervene(mask):
        stream = model.embed(images_of(model, 1)).expand(n, -1, -1)
        push = torch.randn(model.cfg.d_model, dtype=torch.float64)
        changed = stream + push * torch.eye(n, dtype=torch.float64)[..., None]
        before, after = (model(x, start_at_layer=0, stop_at_layer=3) for x in (stream, changed))
    return (after - before).abs().amax(-1) > 1e-9


@pytest.mark.parametrize(
    ("readout", "order"),
    [(name, "shuffled") for name in READOUTS]
    + [("class token", "reading"), ("class token", "reversed")],
)
def test_no_patch_hears_of_one_that_comes_after_it(readout, order):
    model = model_of(readout)
    n, prefix = model.layout.n_patches, model.layout.n_prefix
    generator = torch.Generator().manual_seed(5)
    shuffled = torch.randperm(n, generator=generator)
    orders = {"reading": range(n), "reversed": range(n)[::-1], "shuffled": shuffled.tolist()}
    place = torch.tensor(orders[order]).argsort()
    mask = CausalMask(shuffled if order == "shuffled" else order)
    heard = influence(model, mask)
    not_after = place[:, None] <= place
    if model.cfg.attention.causal or model.cfg.divides_space_time:  # which hide more by themselves
        assert not (heard[prefix:, prefix:] & ~not_after).any()
    else:
        assert torch.equal(heard[prefix:, prefix:], not_after)
        assert heard[:, :prefix].all()  # what is no patch comes last, and hears all
    assert not heard[:prefix, prefix:].any()


def test_tokens_that_are_no_patches_go_by_their_rule():
    model = with_registers()  # a class token, two registers, six patches
    first = influence(model, CausalMask(prefix="first"))
    assert first[:3, 3:].all() and not first[3:, :3].any()
    free = influence(model, CausalMask(prefix="free"))
    assert free.all()  # through the class token and the registers
    mixed = influence(model, CausalMask(prefix={"registers": "first"}))
    assert mixed[1:3].all() and not mixed[3:, 1:3].any()
    assert mixed[:, 0].all() and not mixed[0, 1:].any()
    assert torch.equal(mixed[3:, 3:], torch.ones(6, 6).triu().bool())


def test_clips_are_read_frame_by_frame():
    model = model_of("clips, attention over time and over space")
    heard = influence(model, CausalMask(prefix="first"))
    assert not heard[1:, 1:].tril(-1).any()
    assert heard[1:, 1:].triu(1).any()


def test_masks_print_as_they_are_written():
    assert repr(KnockOut("cls", "registers", layers=[1, 2], both_ways=True)) == (
        "KnockOut(layers=(1, 2), queries='cls', keys='registers', both_ways=True)"
    )
    assert repr(CausalMask()) == "CausalMask()"
    assert repr(AttentionMask(torch.zeros(7, 7).bool())) == "AttentionMask(<0 of 7 x 7>)"
