"""TransformerLens's sweeps by their names, against whole hooked passes."""

import itertools

import pandas
import pytest
import torch

from tests.tiny import images_of, random_model
from vitreous import patching
from vitreous.models import get_act_name
from vitreous.patching import generic_activation_patch, sweep

# What each patches: a short name, its axes, and where an index writes.
ENTRIES = {
    "resid_pre": ("resid_pre", "lt", lambda t: (slice(None), t)),
    "resid_mid": ("resid_mid", "lt", lambda t: (slice(None), t)),
    "attn_out": ("attn_out", "lt", lambda t: (slice(None), t)),
    "mlp_out": ("mlp_out", "lt", lambda t: (slice(None), t)),
    **{
        f"attn_head_{name}_by_pos": (point, "lth", lambda t, h: (slice(None), t, h))
        for name, point in (("out", "z"), ("q", "q"), ("k", "k"), ("v", "v"))
    },
    **{
        f"attn_head_{name}_all_pos": (point, "lh", lambda h: (slice(None), slice(None), h))
        for name, point in (("out", "z"), ("q", "q"), ("k", "k"), ("v", "v"))
    },
    "attn_head_pattern_all_pos": ("pattern", "lh", lambda h: (slice(None), h)),
    "attn_head_pattern_by_pos": ("pattern", "lht", lambda h, t: (slice(None), h, t)),
    "attn_head_pattern_dest_src_pos": (
        "pattern",
        "lhtt",
        lambda h, to, of: (slice(None), h, to, of),
    ),
}


def metric(logits):
    return (logits[:, 0] - logits[:, 1]).mean()


@pytest.fixture(scope="module")
def model():
    return random_model(n_layers=2, n_heads=2, d_mlp=5, image_size=(8, 4))


@pytest.fixture(scope="module")
def runs(model):
    """Corrupt images, and the run on clean ones."""
    return images_of(model, 2, seed=9), model.run_with_cache(images_of(model, 2))[1]


def hooked(model, corrupt, cache, name, where):
    def put(x, hook):
        x[where] = cache[hook.name][where]

    return metric(model.run_with_hooks(corrupt, fwd_hooks=[(name, put)]))


@pytest.mark.parametrize("entry", ENTRIES)
def test_each_name_is_one_hooked_pass_per_index(entry, model, runs):
    point, axes, where = ENTRIES[entry]
    sizes = {"l": 2, "t": 3, "h": 2}
    found = getattr(patching, f"get_act_patch_{entry}")(model, *runs, metric)
    assert found.shape == tuple(sizes[axis] for axis in axes)
    with torch.no_grad():
        for layer, *index in itertools.product(*(range(sizes[axis]) for axis in axes)):
            expected = hooked(model, *runs, get_act_name(point, layer), where(*index))
            assert abs(found[(layer, *index)] - expected) < 1e-10


def test_every_stacks_them_in_their_order(model, runs):
    letters = ("out", "q", "k", "v", "pattern")
    heads = patching.get_act_patch_attn_head_all_pos_every(model, *runs, metric)
    places = patching.get_act_patch_attn_head_by_pos_every(model, *runs, metric)
    blocks = patching.get_act_patch_block_every(model, *runs, metric)
    assert (heads.shape, places.shape, blocks.shape) == ((5, 2, 2), (5, 2, 3, 2), (3, 2, 3))
    for i, letter in enumerate(letters):
        alone = getattr(patching, f"get_act_patch_attn_head_{letter}_all_pos")
        assert heads[i].equal(alone(model, *runs, metric))
    by_query = patching.get_act_patch_attn_head_pattern_by_pos(model, *runs, metric)
    assert places[4].equal(by_query.transpose(1, 2))
    assert blocks[2].equal(patching.get_act_patch_mlp_out(model, *runs, metric))


def test_names_and_sweep_agree(model, runs):
    clean = images_of(model, 2)
    swept = sweep(model, clean, runs[0], model.target(0, minus=1))
    named = patching.get_act_patch_attn_head_out_all_pos(model, *runs, metric)
    expected = (swept["effect"] + swept["corrupt"]).mean("pair")
    torch.testing.assert_close(named, torch.tensor(expected.to_numpy()), rtol=0, atol=1e-10)


def test_a_setter_that_changes_nothing_leaves_the_run_untouched(model, runs):
    found = generic_activation_patch(
        model, *runs, metric, lambda x, index, clean: x, "z", ("layer", "head")
    )
    torch.testing.assert_close(found, metric(model(runs[0])).expand(2, 2).detach())


def test_points_at_which_no_run_restarts_are_whole_passes(model, runs):
    def put(x, index, clean):
        x[:, index[1]] = clean[:, index[1]]
        return x

    found = generic_activation_patch(model, *runs, metric, put, "pre", ("layer", "pos"))
    with torch.no_grad():
        expected = hooked(model, *runs, get_act_name("pre", 1), (slice(None), 2))
    assert abs(found[1, 2] - expected) < 1e-10


def test_a_table_of_indices_goes_row_by_row(model, runs):
    table = pandas.DataFrame({"layer": [1, 0, 1], "head": [0, 1, 1]})
    setter = patching.layer_head_vector_patch_setter
    found, same = generic_activation_patch(
        model, *runs, metric, setter, "z", index_df=table, return_index_df=True
    )
    whole = patching.get_act_patch_attn_head_out_all_pos(model, *runs, metric)
    assert same is table
    expected = torch.stack([whole[1, 0], whole[0, 1], whole[1, 1]])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
