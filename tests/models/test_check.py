"""`model.check()` says yes to good models and no to broken ones."""

import pytest
import torch
from torch import nn

from tests.laws._models import build, configs, images_for, law
from tests.laws.test_spans import THREE
from vitreous.models import MLP, Attention, Block, HookedViT, Norm, Target


@law(configs())
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


def leaky_block(self, resid):
    resid = self.hook_resid_pre(resid)
    resid = self.hook_resid_mid(resid + 1.001 * self.hook_attn_out(self.attend(resid)))
    mlp_in = self.ln2(resid)
    return self.hook_resid_post(resid + self.hook_mlp_out(self.mlp(mlp_in)))


def explicit_without_scale(self, q, k):
    return q.transpose(1, 2) @ k.permute(0, 2, 3, 1)


def biased_results(self, z):
    return torch.einsum("bthd,hdm->bthm", z, self.W_O) + 0.01


def scale_without_eps(self, x):
    return self.centered(x).pow(2).mean(-1, keepdim=True).sqrt()


def mixing_images(self, x):
    x = x + x.mean(0, keepdim=True)
    return self.write(self.hook_post(self.activation(self.hook_pre(self.fc_in(x)))))


def forgetful_embed(self, images):
    self.calls = getattr(self, "calls", 0) + 1
    return embed(self, images) * (1 + 0.01 * self.calls)


embed = HookedViT.embed


@pytest.mark.parametrize(
    ("owner", "method", "broken", "fails"),
    [
        (Block, "forward", leaky_block, "every block adds what its parts write"),
        (Attention, "scores", explicit_without_scale, "derived values are the computed ones"),
        (Attention, "results", biased_results, "heads, MLPs and biases add up to it"),
        (Norm, "scale", scale_without_eps, "derived values are the computed ones"),
        (MLP, "forward", mixing_images, "images don't see one another"),
        (HookedViT, "embed", forgetful_embed, "a cached pass is the plain pass"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_model_fails_where_it_is_broken(owner, method, broken, fails, monkeypatch):
    model = build(THREE)
    assert model.check()
    monkeypatch.setattr(owner, method, broken)
    report = model.check()
    assert not report
    assert fails in [row.name for row in report.rows if not row.holds]
    assert f"{fails}" in str(report) and "FAILS" in str(report)


def test_a_model_of_nan_fails():
    model = build(THREE)
    nn.init.constant_(model.blocks[1].mlp.fc_in.weight, float("nan"))
    assert not model.check()


def test_a_readout_that_forgets_a_bias_fails(monkeypatch):
    def no_constant(self, place, coefficients):
        return coefficients.new_zeros(len(coefficients))

    monkeypatch.setattr(Target, "_head_constant", no_constant)
    report = build(THREE).check()
    failed = [row.name for row in report.rows if not row.holds]
    assert failed == ["shares of a class add up to its logit"]
