"""Clips: frames in inputs, tokens, positions, and attention divided over time and space."""

import runpy
from pathlib import Path

import pytest
import torch

import vitreous as vt
from tests.tiny import images_of, random_model
from vitreous.models import (
    AttentionConfig,
    HookedViTConfig,
    NormConfig,
    PoolingConfig,
    PositionConfig,
    RotaryConfig,
    get_act_name,
)

DIVIDED = AttentionConfig(space_time="divided")
ADDED = PositionConfig(frames="added")


def divided(**changes):
    return random_model(n_frames=3, attention=DIVIDED, position=ADDED, **changes)


@pytest.fixture(scope="module")
def model():
    return divided()


def test_tokens_stand_by_frame_row_and_column(model):
    assert model.layout.grid == (3, 3, 2)
    assert model.layout.names()[:4] == ["cls", "f0r0c0", "f0r0c1", "f0r1c0"]
    assert random_model(n_frames=6, tubelet=2).layout.grid == (3, 3, 2)


def test_a_patch_is_changed_at_its_frame_row_and_column(model):
    clips = images_of(model)
    place = model.layout.index(2, 1, frame=1)
    with model.intervene(vt.Ablate(vt.site("L0M", positions=(1, 2, 1)), "zero")):
        _, cache = model.run_with_cache(clips)
    silent = (cache["mlp_out", 0] == 0).all(-1)[0].nonzero().flatten().tolist()
    assert silent == [place]
    assert torch.equal(cache.at("hook_embed", (1, 2, 1))[:, 0], cache["hook_embed"][:, place])


def test_patches_of_a_frame_see_that_frame_alone():
    model = random_model(n_frames=3, position=None)
    clips = images_of(model, 1)
    changed = clips.clone()
    changed[:, 1] += 1
    embeds = [model.run_with_cache(x)[1]["hook_embed"] for x in (clips, changed)]
    differs = model.layout.to_grid((embeds[0] != embeds[1]).any(-1), dim=1)[0]
    assert differs.flatten(1).any(1).tolist() == [False, True, False]


def test_positions_of_a_place_are_those_of_its_frame_and_of_the_place(model):
    embedding, layout = model.embedding, model.layout
    token = layout.index(2, 0, frame=1)
    expected = embedding.pos[1 + 2 * 2] + embedding.pos_time[0, 1]
    assert torch.equal(model.W_pos[token], expected)
    assert torch.equal(model.W_pos[0], embedding.pos[0])
    with pytest.raises(vt.HookError, match="here they are sums"):
        model.W_pos[0] = 0


def test_the_patch_embedding_of_tubelets_is_a_matrix():
    model = random_model(n_frames=4, tubelet=2)
    clips = images_of(model)
    patch = clips[:, 2:4, :, 4:8, 0:4].transpose(1, 2).flatten(1)
    token = model.layout.index(1, 0, frame=1)
    embed = model.run_with_cache(clips)[1]["hook_embed"][:, token]
    torch.testing.assert_close(patch @ model.W_E + model.b_E, embed, rtol=0, atol=1e-12)


# ---- divided attention


def test_short_names_reach_both_attentions(model):
    _, cache = model.run_with_cache(images_of(model))
    assert cache["pattern", 1, "attn_time"] is cache["blocks.1.attn_time.hook_pattern"]
    assert cache["z", -1, "t"] is cache["blocks.2.attn_time.hook_z"]
    assert cache["attn_time_out", 0] is cache["blocks.0.hook_attn_time_out"]
    assert cache["scale", 0, "ln_time"] is cache["blocks.0.ln_time.hook_scale"]
    assert get_act_name("q_time_input", 2) == "blocks.2.hook_q_time_input"


def test_a_head_over_time_and_all_it_writes_are_sites(model):
    clips = images_of(model)
    with model.intervene(vt.Ablate("L1T2", "zero")):
        _, cache = model.run_with_cache(clips)
    assert not cache["z", 1, "t"][:, :, 2].any() and cache["z", 1, "t"][:, 1:, 1].all()
    with model.intervene(vt.Ablate("L1T", "zero")):
        _, cache = model.run_with_cache(clips)
    assert torch.equal(cache["resid_time", 1], cache["resid_pre", 1])


def test_a_head_over_time_is_no_site_of_a_model_without():
    model = random_model()
    with (
        pytest.raises(vt.UnknownNameError, match="attn_time"),
        model.intervene(vt.Ablate("L1T2", "zero")),
    ):
        model(images_of(model))


def test_patterns_are_zero_where_nobody_looks(model):
    _, cache = model.run_with_cache(images_of(model))
    time, space = cache["pattern", 0, "attn_time"], cache["pattern", 0]
    assert not time[:, :, 0].any() and not time[..., 0].any()
    at_place = model.layout.to_grid(time[:, :, model.layout.index(1, 1, frame=2)])
    assert (at_place[..., 1, 1] > 0).all()
    torch.testing.assert_close(at_place[..., 1, 1].sum(-1), at_place.sum((-3, -2, -1)))
    in_frame = model.layout.to_grid(space[:, :, model.layout.index(1, 1, frame=2)])
    assert (in_frame[:, :, 2] > 0).all() and not in_frame[:, :, :2].any()
    torch.testing.assert_close(space.sum(-1), torch.ones_like(space.sum(-1)))
    by_frame = model.layout.to_grid(space[:, :, 0]).sum((-2, -1))
    assert (by_frame > 0).all() and (by_frame < 1 / 3).all()


def test_the_class_token_takes_no_part_in_time(model):
    _, cache = model.run_with_cache(images_of(model), names_filter=lambda name: True)
    assert not cache["attn_time_out", 1][:, 0].any()
    assert cache["attn_time_out", 1][:, 1:].all()


def test_what_a_hook_puts_at_the_class_token_in_time_counts(model):
    clips = images_of(model)

    def shout(z, hook):
        z[:, 0] = 1

    _, cache = model.run_with_cache(clips, fwd_hooks=[(("z", 1, "t"), shout)])
    attn = model.blocks[1].attn_time
    written = attn.W_O.sum((0, 1)).expand(2, -1)
    torch.testing.assert_close(cache["attn_time_out", 1][:, 0], written, rtol=0, atol=1e-12)
    rows = cache.get_full_resid_decomposition()
    torch.testing.assert_close(rows.sum(0), cache["resid_post", -1], rtol=0, atol=1e-12)


def test_an_empty_batch_of_clips_runs(model):
    logits, cache = model.run_with_cache(images_of(model)[:0])
    assert logits.shape == (0, 5)
    assert cache["pattern", 0, "t"].shape == (0, 4, 19, 19)


def test_one_frame_can_be_divided_too():
    model = random_model(attention=DIVIDED, n_registers=2)
    assert model.layout.grid == (1, 3, 2)
    assert model.check()


def test_stacks_of_weights_are_those_of_attention_over_space(model):
    assert torch.equal(model.W_Q[1], model.blocks[1].attn.W_Q)
    model.blocks[1].attn_time.W_O  # noqa: B018  # a live view, as of any attention
    with pytest.raises(ValueError, match="got a model with an attention over time"):
        model.accumulated_bias(1)


def test_shares_by_head_tell_time_from_space(model):
    clips = images_of(model)
    shares = vt.direct_logit_shares(model, clips, 1, by="head")
    assert shares.attrs["residual"] < 1e-12
    kinds = shares["kind"].values.tolist()
    assert kinds.count("head_time") == kinds.count("head") == 12
    by_layer = vt.direct_logit_shares(model, clips, 1)
    assert [c for c in by_layer["component"].values if c.startswith("L0")] == ["L0T", "L0A", "L0M"]
    assert by_layer["kind"].values.tolist().count("attn_time") == 3


# ---- what is refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_frames": 3, "tubelet": 2}, "`n_frames` must divide by `tubelet`"),
        ({"n_frames": 0}, "`n_frames` must be positive"),
        ({"n_frames": 2, "tubelet": 2, "stem": True}, "A stem embeds frames one by one"),
        ({"n_frames": 2, "attention": AttentionConfig(rotary=RotaryConfig())}, "rows and columns"),
        ({"n_frames": 2, "position": PositionConfig("sincos")}, "must be the same in each frame"),
        ({"attention": DIVIDED, "parallel": True}, "needs plain attention .* got parallel=True"),
        ({"attention": DIVIDED, "out_norm": NormConfig()}, "got out_norm"),
        (
            {"attention": AttentionConfig(causal=True, space_time="divided")},
            "got attention.causal=True",
        ),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        HookedViTConfig(2, 12, 2, d_mlp=8, image_size=8, patch_size=4, **changes)


@pytest.mark.parametrize("shape", [(3, 12, 8), (2, 3, 12, 8), (1, 2, 3, 12, 8)])
def test_other_shapes_than_clips_are_refused(model, shape):
    with pytest.raises(ValueError, match=r"\[clips, 3 frames, 3 channels, rows, columns\]; got"):
        model(torch.zeros(shape, dtype=torch.float64))


def test_a_row_and_a_column_do_not_place_a_patch_of_a_clip(model):
    with pytest.raises(ValueError, match=r"must be \(frame, row, column\); got \(1, 2\)"):
        model.layout.select((1, 2))


def test_explain_takes_no_clip():
    model = random_model(n_frames=2).float()
    with pytest.raises(ValueError, match="takes one image"):
        vt.explain(model, images_of(model, 1))


def test_the_first_token_can_be_read_whatever_it_is():
    model = random_model(cls_token=False, pooling=PoolingConfig("first"))
    assert model.layout.select("readout") == [0]
    assert model.check()


def test_the_tutorial_on_clips_runs():
    runpy.run_path(str(Path(__file__).parents[2] / "docs/tutorials/watch_a_clip.py"))
