"""`model.check()` says yes to good models and no to broken ones."""

import pytest
import torch
from torch import nn

from tests.laws._models import build, configs, images_for, law
from tests.laws.test_spans import THREE
from vitreous.hooks import Hook, HookPoint
from vitreous.models import (
    MLP,
    Attention,
    Block,
    HookedViT,
    Norm,
    PoolingConfig,
    Target,
    TransformerCache,
)
from vitreous.models._derivation import TransformerDerivation


@law(configs(), examples=12)
def test_good_models_pass(cfg):
    report = build(cfg).check()
    assert report, str(report)


def test_the_report_is_a_table_that_says_what_holds():
    text = str(build(THREE).check(images_for(THREE)))
    assert text.splitlines()[0].split() == ["identity", "(in", "float64)", "error", "allowed"]
    assert "every block adds what its parts write" in text and "FAILS" not in text


def test_a_check_leaves_the_model_as_it_was():
    model = build(THREE).float().train()
    model.add_hook("hook_embed", lambda value, hook: value * 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert model.check()
    assert model.training and len(model.hook_dict["hook_embed"].fwd_hooks) == 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_model_in_half_precision_is_checked_in_double():
    assert build(THREE).half().check()


def leaky_block(self, resid, *where):
    resid = self.hook_resid_pre(resid)
    resid = self.hook_resid_mid(resid + 1.001 * self.hook_attn_out(self.attn(self.ln1(resid))))
    mlp_in = self.ln2(resid)
    return self.hook_resid_post(resid + self.hook_mlp_out(self.mlp(mlp_in)))


def explicit_without_scale(self, q, k, *where):
    return q.transpose(1, 2) @ k.permute(0, 2, 3, 1)


def scale_without_eps(self, x):
    return self.centered(x).pow(2).mean(-1, keepdim=True).sqrt()


def forgetful_embed(self, images, *where):
    self.calls = getattr(self, "calls", 0) + 1
    return embed(self, images, *where) * (1 + 0.01 * self.calls)


embed = HookedViT.embed


@pytest.mark.parametrize(
    ("owner", "method", "broken", "fails"),
    [
        (Block, "forward", leaky_block, "every block adds what its parts write"),
        (Attention, "scores", explicit_without_scale, "derived values are the computed ones"),
        (Norm, "scale", scale_without_eps, "derived values are the computed ones"),
        (HookedViT, "embed", forgetful_embed, "a cached pass is the plain pass"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_model_fails_where_it_is_broken(owner, method, broken, fails, monkeypatch):
    monkeypatch.setattr(owner, method, broken)
    report = build(THREE).check()
    assert not report
    assert fails in [row.name for row in report.rows if not row.holds]
    assert f"{fails}" in str(report) and "FAILS" in str(report)


def test_a_model_of_nan_fails():
    model = build(THREE)
    nn.init.constant_(model.blocks[1].mlp.fc_in.weight, float("nan"))
    assert not model.check()


# ---- for every identity, a mistake that breaks it and nothing else

TINY = 1 + 1e-13  # seen where paths are the same, and within rounding where two paths meet


def in_sums_of_blocks(patch):
    def forward(self, resid, *where):
        resid = self.hook_resid_pre(resid)
        resid = self.hook_resid_mid((resid + self.hook_attn_out(self.attn(self.ln1(resid)))) * TINY)
        return self.hook_resid_post(resid + self.hook_mlp_out(self.mlp(self.ln2(resid))))

    patch.setattr(Block, "forward", forward)


def in_recorded_values(patch):
    visit = HookPoint.visit

    def visited(self, value, name):
        is_late = self.recorder is not None and name == "blocks.2.hook_mlp_out"
        return visit(self, value * TINY if is_late else value, name)

    patch.setattr(HookPoint, "visit", visited)


def in_derived_patterns(patch):
    compute = TransformerDerivation.compute

    def computed(self, name, is_stored, read):
        return compute(self, name, is_stored, read) * (2 if name.endswith("pattern") else 1)

    patch.setattr(TransformerDerivation, "compute", computed)


def in_rows_at_a_token_that_nobody_reads(patch):
    layer_rows = TransformerCache.layer_rows

    def rows(self, *args, **keywords):
        found = layer_rows(self, *args, **keywords)
        return found | {"embed": torch.cat([found["embed"][:, :-1], found["embed"][:, -1:] + 1], 1)}

    patch.setattr(TransformerCache, "layer_rows", rows)


def biased_results(self, z, scales):
    return torch.einsum("bthd,hdm->bthm", z, self.W_O) + 0.01


def mixing_images(self, x):
    x = x + x.mean(0, keepdim=True)
    return self.write(self.hook_post(self.activation(self.hook_pre(self.fc_in(x)))))


def in_constants(patch):
    def none(self, place, coefficients):
        return coefficients.new_zeros(len(coefficients))

    patch.setattr(Target, "_head_constant", none)


def in_what_enters_a_restart(patch):
    run = HookedViT.forward

    def forward(self, x, **how):
        return run(self, x if how.get("start_at_layer") is None else x * TINY, **how)

    patch.setattr(HookedViT, "forward", forward)


def in_hooks(patch):
    apply = Hook.apply
    patch.setattr(Hook, "apply", lambda self, value: apply(self, value) * TINY)


MISTAKES = {
    "every block adds what its parts write": in_sums_of_blocks,
    "a cached pass is the plain pass": in_recorded_values,
    "derived values are the computed ones": in_derived_patterns,
    "layers add up to the stream": in_rows_at_a_token_that_nobody_reads,
    "heads, MLPs and biases add up to it": lambda p: p.setattr(
        Attention, "results", biased_results
    ),
    "shares of a class add up to its logit": in_constants,
    "a pass in two stretches is the whole": in_what_enters_a_restart,
    "hooks that do nothing change nothing": in_hooks,
    "images don't see one another": lambda p: p.setattr(MLP, "forward", mixing_images),
}


@pytest.mark.parametrize("identity", MISTAKES)
def test_every_identity_sees_a_mistake_that_no_other_sees(identity, monkeypatch):
    MISTAKES[identity](monkeypatch)
    report = build(THREE).check()
    assert [row.name for row in report.rows if not row.holds] == [identity]


def test_every_identity_has_a_mistake():
    assert [row.name for row in build(THREE).check().rows] == list(MISTAKES)


def test_a_model_that_pools_nothing_has_no_shares_to_check():
    report = build(THREE.replace(pooling=PoolingConfig("none"))).check()
    assert report and len(report.rows) == len(MISTAKES) - 1
