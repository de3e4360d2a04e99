"""Later components that take back what earlier ones wrote, planted and by definition."""

import re

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.data import Images
from vitreous.decomposition import clean_up, direct_logit_shares, misleading_shares
from vitreous.models import HookedViT, PoolingConfig

ERASED = 7  # the dimension of the stream that one head writes to and another clears


@torch.no_grad()
def planted(erases: float = 1.0) -> HookedViT:
    """L0H1 writes to a dimension that nobody else writes to, and L1H2 takes a part of it back.

    Both attend to all tokens alike, so that each token holds the same in that dimension, and what
    L1H2 reads there is just what L0H1 has written. All else is random and small.
    """
    model = random_model(norm=None, pooling=PoolingConfig("cls", None))
    for parameter in model.embedding.parameters():
        by_feature = parameter if parameter.ndim in (1, 4) else parameter.movedim(-1, 0)
        by_feature[ERASED] = 0
    for block in model.blocks:
        for layer in (block.attn.out, block.mlp.fc_out):
            layer.weight.mul_(0.02)[ERASED] = 0
            layer.bias.mul_(0.02)[ERASED] = 0
    writes, takes = model.blocks[0].attn, model.blocks[1].attn
    for attn, head, size in ((writes, 1, 2.0), (takes, 2, -erases)):
        attn.weight("q")[head], attn.bias("q")[head] = 0, 0
        own = attn.out.weight.unflatten(1, (4, 4))[:, head]
        own.zero_()[ERASED, 0] = size
    takes.weight("v")[2], takes.bias("v")[2] = 0, 0
    takes.weight("v")[2, ERASED, 0] = 1
    model.head.linear.weight[0, ERASED] = 3
    return model


def test_the_planted_writer_and_its_eraser_are_both_named():
    found = clean_up(planted(), random_images(6), 0)
    [sentence] = misleading_shares(found)
    assert sentence.startswith("L0H1's direct share of class 0, ")
    assert "take back 1.00 ± 0.00, most of all L1H2 (1.00)" in sentence


def test_an_erased_write_is_not_kept_and_its_share_is_undone():
    found = clean_up(planted(), random_images(6), 0)
    one = found.sel(component="L0H1")
    np.testing.assert_allclose(one["kept"], 0, atol=1e-12)
    np.testing.assert_allclose(one["undone"], one["share"], rtol=1e-12)
    np.testing.assert_allclose(one["removed_by"].sel(remover="L1H2"), 1, rtol=1e-12)
    # The eraser's share is as large, against the target, and nothing takes that back.
    eraser = found.sel(component="L1H2")
    np.testing.assert_allclose(eraser["share"], -one["share"], rtol=1e-12)
    np.testing.assert_allclose(eraser["kept"], 1, atol=1e-12)


@pytest.mark.parametrize("erases", [0.0, -1.0, 0.2])
def test_a_model_without_clean_up_gives_no_warning(erases):
    found = clean_up(planted(erases), random_images(6), 0)
    np.testing.assert_allclose(found["kept"].sel(component="L0H1"), 1 - erases, rtol=1e-12)
    assert misleading_shares(found) == []


@pytest.mark.parametrize("readout", ["class token", "mean behind the norm", "attention pooling"])
def test_random_models_give_no_warning(readout):
    for seed in range(5):
        model = random_model(seed, **READOUTS[readout])
        assert misleading_shares(clean_up(model, images_of(model, 6), 0)) == []


def test_thresholds_can_be_moved():
    found = clean_up(planted(0.4), random_images(6), 0)
    loose = {"least_undone": 0.3, "least_deviations": 1}
    assert misleading_shares(found) == []
    [sentence] = misleading_shares(found, **loose)
    assert "take back 0.40" in sentence
    assert misleading_shares(found, **loose, least_share=0.9) == []
    assert misleading_shares(found, **loose | {"least_deviations": 4.1}) == []


def test_a_share_too_small_to_matter_gives_no_warning():
    model = planted()
    assert misleading_shares(clean_up(model, random_images(6), 1), least_share=0) != []
    with torch.no_grad():
        model.head.linear.weight[1, ERASED] = 0
    assert misleading_shares(clean_up(model, random_images(6), 1)) == []


def test_an_eraser_by_mlp_is_named_too():
    """An MLP of two rectified neurons that writes minus what it reads in one dimension."""
    model = random_model(norm=None, pooling=PoolingConfig("cls", None), act_name="relu")
    with torch.no_grad():
        source = planted(0.0)
        model.load_state_dict(source.state_dict())
        mlp = model.blocks[2].mlp
        mlp.fc_in.weight[:2] = 0
        mlp.fc_in.bias[:2] = 0
        mlp.fc_in.weight[0, ERASED], mlp.fc_in.weight[1, ERASED] = 1, -1
        mlp.fc_out.weight[:, :2] = 0
        mlp.fc_out.weight[ERASED, 0], mlp.fc_out.weight[ERASED, 1] = -1, 1
    [sentence] = misleading_shares(clean_up(model, random_images(6), 0))
    assert sentence.startswith("L0H1's") and "L2M (1.00)" in sentence


# ---- by definition


def slowly(model, images, target):
    """Kept fraction, cosine and ratio, from the streams before and after each component."""
    cache = model.run_with_cache(images)[1]
    tokens, norm = cache.layout.select("readout"), model.ln_final
    center = (lambda x: x) if norm is None else norm.centered
    last = cache["resid_post", -1][:, tokens]
    rows = {}
    for layer in range(model.cfg.n_layers):
        after_attention = cache["resid_mid", layer] if model.cfg.has_resid_mid else None
        after_block = cache["resid_post", layer]
        for head, written in enumerate(cache["result", layer].unbind(2)):
            rows[f"L{layer}H{head}"] = written, after_attention
        rows[f"L{layer}M"] = cache["mlp_out", layer], after_block
    for label, (written, after) in rows.items():
        written = center(written[:, tokens]).flatten(1)
        later = center(last - after[:, tokens]).flatten(1)
        along = (written * later).sum(1) / (written**2).sum(1)
        lengths = written.norm(dim=1), later.norm(dim=1)
        cosine = torch.nn.functional.cosine_similarity(written, later, dim=1, eps=0)
        yield label, 1 + along, cosine.nan_to_num(0), lengths[1] / lengths[0]


@pytest.mark.parametrize(
    "readout",
    ["class token", "mean behind the norm", "registers, ln_pre, LayerScale", "no norm at all",
     "norms behind attention and MLP", "attention pooling", "causal"],
)  # fmt: skip
def test_numbers_are_those_of_the_streams_before_and_behind(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    found = clean_up(model, images, 1)
    for label, kept, cosine, ratio in slowly(model, images, 1):
        one = found.sel(component=label)
        for name, expected in (("kept", kept), ("cosine", cosine), ("norm_ratio", ratio)):
            np.testing.assert_allclose(
                one[name], expected.detach(), rtol=1e-8, atol=1e-7, err_msg=f"{label} {name}"
            )


@pytest.mark.parametrize("by", ["layer", "head"])
@pytest.mark.parametrize("readout", READOUTS)
def test_shares_are_the_direct_ones(readout, by):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    found = clean_up(model, images, 1, by=by)
    direct = direct_logit_shares(model, images, 1, by=by)
    for label in found["component"].values:
        if label != "bias":  # there, biases behind the last block aren't writes
            shares = found["share"].sel(component=label), direct.sel(component=label)
            np.testing.assert_allclose(*shares, rtol=1e-9, atol=1e-11)


def test_removers_add_up_to_what_is_removed():
    found = clean_up(random_model(), random_images(1), 1)
    removed = found["removed_by"].sum("remover")
    np.testing.assert_allclose(removed, 1 - found["kept"].isel(image=0), rtol=1e-9, atol=1e-12)
    early = found["layer"].values[None, :] < found["layer"].values[:, None]
    assert (found["removed_by"].values[early] == 0).all()


def test_side_by_side_an_mlp_comes_no_later_than_the_heads_of_its_block():
    model = random_model(parallel=True)
    found = clean_up(model, random_images(), 1)["removed_by"]
    assert found.sel(component="L0H1", remover="L0M") == 0
    assert found.sel(component="L0H1", remover="L1M") != 0
    in_turn = clean_up(random_model(), random_images(), 1)["removed_by"]
    assert in_turn.sel(component="L0H1", remover="L0M") != 0


def test_a_data_set_is_streamed():
    model, images = random_model(), random_images(5)
    whole = clean_up(model, images, 1, cache=model.run_with_cache(images)[1])
    streamed = clean_up(model, Images.from_tensor(images, batch_size=2), 1)
    for name in whole.data_vars:
        np.testing.assert_allclose(streamed[name], whole[name], rtol=1e-10, atol=1e-12)


def test_tokens_in_chunks_give_the_same(monkeypatch):
    model = random_model(**READOUTS["mean behind the norm"])
    images = random_images()
    whole = clean_up(model, images, 1)
    monkeypatch.setattr("vitreous.decomposition._clean_up._HELD", 1)
    in_chunks = clean_up(model, images, 1)
    for name in whole.data_vars:
        np.testing.assert_allclose(in_chunks[name], whole[name], rtol=1e-10, atol=1e-12)


def test_the_result_can_be_saved(tmp_path):
    found = clean_up(random_model(), random_images(), 0)
    assert set(found["kept"].to_dataframe().columns) >= {"kind", "layer", "head"}
    assert not any(re.search("[<>]", str(label)) for label in found["component"].values)
