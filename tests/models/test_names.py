"""The grammar of hook names and components, against a table written by hand."""

import pytest
import torch

import vitreous as vt
from tests.tiny import random_images, random_model
from vitreous.models import AttentionConfig, NormConfig, get_act_name

# What TransformerLens's documentation gives, and forms built like these.
TABLE = [
    (("k", 6, "a"), "blocks.6.attn.hook_k"),
    (("pre", 2), "blocks.2.mlp.hook_pre"),
    (("embed",), "hook_embed"),
    (("normalized", 27, "ln2"), "blocks.27.ln2.hook_normalized"),
    (("k6",), "blocks.6.attn.hook_k"),
    (("scale4ln1",), "blocks.4.ln1.hook_scale"),
    (("pre5",), "blocks.5.mlp.hook_pre"),
    (("q", 0), "blocks.0.attn.hook_q"),
    (("v", 11, "attn"), "blocks.11.attn.hook_v"),
    (("z12",), "blocks.12.attn.hook_z"),
    (("rot_q", 3), "blocks.3.attn.hook_rot_q"),
    (("result", 1), "blocks.1.attn.hook_result"),
    (("attn", 3), "blocks.3.attn.hook_pattern"),
    (("attn_scores", 3), "blocks.3.attn.hook_attn_scores"),
    (("attn_logits", 3), "blocks.3.attn.hook_attn_scores"),
    (("key", 3), "blocks.3.attn.hook_k"),
    (("query", 3), "blocks.3.attn.hook_q"),
    (("value", 3), "blocks.3.attn.hook_v"),
    (("mlp_pre", 3), "blocks.3.mlp.hook_pre"),
    (("mlp_post", 3), "blocks.3.mlp.hook_post"),
    (("post", 3, "m"), "blocks.3.mlp.hook_post"),
    (("resid_pre", 3), "blocks.3.hook_resid_pre"),
    (("resid_mid3",), "blocks.3.hook_resid_mid"),
    (("resid_post", 3, "b"), "blocks.3.hook_resid_post"),
    (("attn_out", 3), "blocks.3.hook_attn_out"),
    (("mlp_in", 3), "blocks.3.hook_mlp_in"),
    (("q_input", 3), "blocks.3.hook_q_input"),
    (("pos_embed",), "hook_pos_embed"),
    (("ln_final",), "hook_ln_final"),
    (("scale",), "ln_final.hook_scale"),
    (("normalized",), "ln_final.hook_normalized"),
    (("scale", 1, "q_norm"), "blocks.1.attn.q_norm.hook_scale"),
    (("normalized", 1, "k_norm"), "blocks.1.attn.k_norm.hook_normalized"),
    (("scale", 1, "z_norm"), "blocks.1.attn.z_norm.hook_scale"),
    (("rot_k5",), "blocks.5.attn.hook_rot_k"),
    (("mid", 2), "blocks.2.mlp.hook_mid"),
    (("mlp_mid", 2), "blocks.2.mlp.hook_mid"),
    (("pre_linear", 2), "blocks.2.mlp.hook_pre_linear"),
    (("pre_linear2",), "blocks.2.mlp.hook_pre_linear"),
    (("scale", 2, "mlp.norm"), "blocks.2.mlp.norm.hook_scale"),
    (("normalized", 0, "attn.out_norm"), "blocks.0.attn.out_norm.hook_normalized"),
]


@pytest.mark.parametrize(("short", "full"), TABLE)
def test_a_short_name_is_this_full_one(short, full):
    assert get_act_name(*short) == full


@pytest.mark.parametrize("name", sorted({full for _, full in TABLE}))
def test_a_full_name_comes_back_unchanged(name):
    assert get_act_name(name) == name


def test_every_point_of_a_model_has_a_short_name():
    qk_norm = AttentionConfig(qk_norm=NormConfig())
    model = random_model(ln_pre=NormConfig(), attention=qk_norm)
    for name in model.hook_names():
        *path, last = name.split(".")
        short = last.removeprefix("hook_")
        if path[:1] == ["blocks"]:
            part = [path[-1]] if "norm" in path[-1] or "ln" in path[-1] else []
            assert get_act_name(short, int(path[1]), *part) == name
        elif path != ["ln_pre"]:  # whose own short names are those of the final norm
            assert get_act_name(short) == name


# ---- components


@pytest.mark.parametrize(
    ("component", "name", "part"),
    [
        ("L1H3", "blocks.1.attn.hook_z", lambda x: x[:, :, [3]]),
        ("L02H0", "blocks.2.attn.hook_z", lambda x: x[:, :, [0]]),
        ("L2M", "blocks.2.hook_mlp_out", lambda x: x),
        ("L0A", "blocks.0.hook_attn_out", lambda x: x),
        ("L1N17", "blocks.1.mlp.hook_post", lambda x: x[:, :, [17]]),
    ],
)
def test_a_component_is_this_part_of_a_value(component, name, part):
    model = random_model()
    _, cache = model.run_with_cache(random_images())
    site = model.resolve_site(vt.site(component))
    assert site.name == name
    assert torch.equal(site.read(cache[name]), part(cache[name]))


@pytest.mark.parametrize(
    ("component", "says"),
    [
        ("L3H0", r"`L3H0` must name a layer in 0\.\.2; got 3"),
        ("L3M", r"`L3M` must name a layer in 0\.\.2; got 3"),
        ("L1H4", r"`head` must lie in 0\.\.3; got \[4\]"),
        ("L1N20", r"must lie in 0\.\.19; got \[20\]"),
    ],
)
def test_a_component_that_the_model_has_not_raises(component, says):
    model = random_model()
    with pytest.raises(ValueError, match=says), model.intervene(vt.Ablate(component, "zero")):
        model(random_images())


@pytest.mark.parametrize("text", ["l1h1", "L1", "L1H", "H3", "L-1M", "L1B", "L1H1H2", " L1M"])
def test_what_only_resembles_a_component_is_an_unknown_name(text):
    with pytest.raises(vt.UnknownNameError, match=rf"No hook point is named '{text}'"):
        random_model().resolve_site(vt.site(text))


def test_a_component_of_an_mlp_needs_mlps():
    with pytest.raises(
        vt.UnknownNameError, match=r"No hook point is named 'blocks\.1\.hook_mlp_out'"
    ):
        random_model(d_mlp=None).resolve_site(vt.site("L1M"))
