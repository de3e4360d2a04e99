"""A stretch of a model is a stretch of the whole pass, and no more of it runs than is watched."""

import pytest
import torch
from hypothesis import strategies as st

from tests.laws._definition import defined
from tests.laws._models import assert_equal, build, configs, images_for, law
from vitreous._errors import HookError
from vitreous.models import Attention, Block, HookedViTConfig, Norm, PositionConfig

THREE = HookedViTConfig(3, 8, 2, d_mlp=9, image_size=(4, 9), patch_size=(2, 3), n_classes=4)


def keep(value, hook):
    """Watches, and changes nothing."""


class Calls:
    """Counts calls of a method, by the module that it was called on."""

    def __init__(self, monkeypatch, kind, method):
        self.of = []
        original = getattr(kind, method)

        def counted(module, *args, **kwargs):
            self.of.append(module)
            return original(module, *args, **kwargs)

        monkeypatch.setattr(kind, method, counted)

    def layers(self, model):
        part = {**{b: i for i, b in enumerate(model.blocks)}}
        part |= {b.attn: i for i, b in enumerate(model.blocks)}
        part |= {n: i for i, b in enumerate(model.blocks) for n in (b.ln1,)}
        return [part[module] for module in self.of if module in part]


@law(configs(), st.data())
def test_a_pass_in_two_stretches_is_the_whole(cfg, data):
    model, images = build(cfg), images_for(cfg)
    layer = data.draw(st.integers(-cfg.n_layers, cfg.n_layers))
    resid = model(images, stop_at_layer=layer)
    assert torch.equal(model(resid, start_at_layer=layer), model(images))
    middle = model(model(images, stop_at_layer=0), start_at_layer=0, stop_at_layer=layer)
    assert torch.equal(middle, resid)


@law(configs(), st.data())
def test_a_stopped_pass_returns_the_stream_that_would_enter_the_next_block(cfg, data):
    model, images = build(cfg), images_for(cfg)
    layer = data.draw(st.integers(0, cfg.n_layers))
    values = defined(model, images)[1]
    last = f"blocks.{cfg.n_layers - 1}.hook_resid_post"
    expected = values[last if layer == cfg.n_layers else f"blocks.{layer}.hook_resid_pre"]
    for return_type in ("logits", "pre_logits", None):
        stopped = model(images, stop_at_layer=layer, return_type=return_type)
        assert_equal(stopped, expected)


@law(configs(n_layers=3), st.data())
def test_the_cache_of_a_stretch_shows_the_names_of_that_stretch(cfg, data):
    model, images = build(cfg), images_for(cfg)
    start, stop = sorted(data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3))))
    resid = model(images, stop_at_layer=start)
    if start == stop:
        return
    _, cache = model.run_with_cache(resid, start_at_layer=start, stop_at_layer=stop)
    names = [n for n in model.hook_names(on_demand=False) if n.startswith("blocks.")]
    assert list(cache) == [n for n in names if start <= int(n.split(".")[1]) < stop]
    values = defined(model, images)[1]
    for name, value in cache.items():
        assert_equal(value, values[name], name)


@law(configs(n_layers=3), st.data())
def test_a_hook_beyond_the_stretch_raises_before_anything_runs(cfg, data):
    model, images = build(cfg), images_for(cfg)
    stop = data.draw(st.integers(0, 2))
    beyond = data.draw(
        st.sampled_from(["blocks.2.attn.hook_z", "hook_ln_final", "blocks.2.hook_resid_post"])
    )
    before = model.passes
    with pytest.raises(HookError, match="must stand where the pass comes by"):
        model.run_with_hooks(images, fwd_hooks=[(beyond, keep)], stop_at_layer=stop)
    with pytest.raises(HookError, match="must stand where the pass comes by"):
        model.run_with_cache(images, fwd_hooks=[(beyond, keep)], stop_at_layer=stop)
    with pytest.raises(HookError, match="must name a point that this pass comes by"):
        model.run_with_cache(images, names_filter=beyond, stop_at_layer=stop)
    with pytest.raises(HookError, match="must name points that this pass comes by"):
        model.run_with_cache(images, names_filter=["hook_embed", beyond], stop_at_layer=stop)
    resid = torch.zeros(1, model.layout.n_tokens, cfg.d_model, dtype=torch.float64)
    with pytest.raises(HookError, match="must stand where the pass comes by"):
        model.run_with_hooks(resid, bwd_hooks=[("hook_embed", keep)], start_at_layer=1)
    assert model.passes == before
    assert not any(point.watched for point in model.hook_dict.values())


@law(configs(n_layers=3))
def test_permanent_hooks_beyond_the_stretch_are_left_in_peace(cfg):
    model, images = build(cfg), images_for(cfg)
    model.add_hook("blocks.2.hook_resid_post", keep, is_permanent=True)
    model.run_with_hooks(images, fwd_hooks=[("hook_embed", keep)], stop_at_layer=1)
    model.run_with_cache(images, stop_at_layer=1)


@pytest.mark.parametrize(
    ("wanted", "blocks"),
    [
        ("hook_full_embed", []),
        ("blocks.0.hook_resid_pre", [0]),
        (("resid_post", 1), [0, 1]),
        (["hook_embed", "blocks.1.attn.hook_pattern"], [0, 1]),
        ({"blocks.*.hook_attn_out"}, [0, 1, 2]),
        (lambda name: name == "blocks.1.attn.hook_result", [0, 1]),
        ("hook_ln_final", [0, 1, 2]),
    ],
)
def test_a_pass_for_nothing_but_its_cache_stops_behind_what_is_wanted(wanted, blocks, monkeypatch):
    model, images = build(THREE), images_for(THREE)
    calls = Calls(monkeypatch, Block, "forward")
    output, cache = model.run_with_cache(images, names_filter=wanted, return_type=None)
    assert output is None
    assert calls.layers(model) == blocks
    assert set(cache) == set(model.names.select(wanted))


def test_a_pass_for_nothing_goes_as_far_as_hooks_and_interventions_do(monkeypatch):
    model, images = build(THREE), images_for(THREE)
    calls = Calls(monkeypatch, Block, "forward")
    assert model(images, return_type=None) is None
    assert calls.layers(model) == []
    with model.hooks(fwd_hooks=[("blocks.1.hook_attn_out", keep)]):
        model.run_with_cache(images, names_filter="hook_embed", return_type=None)
    assert calls.layers(model) == [0, 1]


def test_a_gradient_runs_the_whole_model_and_still_returns_nothing(monkeypatch):
    model, images = build(THREE), images_for(THREE)
    calls = Calls(monkeypatch, Block, "forward")
    output, cache = model.run_with_cache(
        images, names_filter="hook_embed", incl_bwd=lambda logits: logits[:, 0], return_type=None
    )
    assert output is None and calls.layers(model) == [0, 1, 2]
    assert cache["hook_embed_grad"].abs().sum() > 0


@pytest.mark.parametrize("name", ["hook_attn_scores", "hook_pattern"])
def test_asking_for_the_pattern_of_one_layer_leaves_the_others_fused(name, monkeypatch):
    model, images = build(THREE), images_for(THREE)
    fused, explicit = (
        Calls(monkeypatch, Attention, "fused"),
        Calls(monkeypatch, Attention, "scores"),
    )
    model.run_with_cache(images, names_filter=f"blocks.1.attn.{name}")
    assert (fused.layers(model), explicit.layers(model)) == ([0, 2], [1])


def test_a_default_run_and_the_reading_of_it_leave_every_layer_fused(monkeypatch):
    model, images = build(THREE), images_for(THREE)
    fused, explicit = (
        Calls(monkeypatch, Attention, "fused"),
        Calls(monkeypatch, Attention, "scores"),
    )
    _, cache = model.run_with_cache(images)
    assert (fused.layers(model), explicit.layers(model)) == ([0, 1, 2], [])
    assert cache["pattern", 1].shape[-1] == model.layout.n_tokens
    assert explicit.layers(model) == [1]


def test_asking_for_the_scale_of_one_norm_leaves_the_others_fused(monkeypatch):
    model, images = build(THREE), images_for(THREE)
    fused, explicit = Calls(monkeypatch, Norm, "fused"), Calls(monkeypatch, Norm, "divide")
    model.run_with_hooks(images, fwd_hooks=[("blocks.1.ln1.hook_scale", keep)])
    assert explicit.of == [model.blocks[1].ln1]
    assert model.blocks[1].ln1 not in fused.of and len(fused.of) == 2 * 3 + 1 - 1


@pytest.mark.parametrize("letter", "qkv")
def test_only_an_input_per_head_that_was_edited_is_computed_per_head(letter, monkeypatch):
    model, images = build(THREE), images_for(THREE)
    per_head = Calls(monkeypatch, Attention, "project_heads")
    name = f"blocks.1.hook_{letter}_input"
    model.run_with_cache(images, names_filter=name)
    assert per_head.layers(model) == []
    model.run_with_hooks(images, fwd_hooks=[(name, lambda value, hook: value * 2)])
    assert per_head.layers(model) == [1]


SIZELESS = THREE.replace(position=PositionConfig("sincos"), n_registers=1)


def restarted(**keywords):
    """A model at another size than its own: a whole run, and one from its second block on."""
    model = build(SIZELESS)
    images = images_for(SIZELESS.replace(image_size=(8, 6)))  # 4 x 2 patches, not 2 x 3
    _, whole = model.run_with_cache(images)
    resid = model(images, stop_at_layer=1)
    if keywords.pop("told", False):
        keywords["layout"] = model.layout_for(images)
    return model, whole, model.run_with_cache(resid, start_at_layer=1, **keywords)[1]


def test_a_stretch_at_another_size_that_is_told_the_layout_has_it():
    _, whole, cache = restarted(told=True)
    assert cache.layout == whole.layout and cache.layout.grid == (1, 4, 2)
    for positions in ((3, 1), "patches", torch.ones(4, 2, dtype=torch.bool)):
        assert_equal(
            cache.at("ln_final.hook_scale", positions), whole.at("ln_final.hook_scale", positions)
        )


@pytest.mark.parametrize("saved", [False, True])
def test_a_stretch_at_another_size_that_is_not_told_knows_counts_and_no_places(tmp_path, saved):
    model, whole, cache = restarted()
    if saved:
        cache.save(tmp_path / "cache")
        cache = model.load_cache(tmp_path / "cache")
    target = model.target(1)
    stream = cache["resid_post", 2][None]
    for positions in ("readout", "registers", "patches", [0, 9]):
        tokens = whole.layout.select(positions)
        expected = whole.logit_attrs(stream[:, :, tokens], target, positions=positions)
        assert_equal(cache.logit_attrs(stream[:, :, tokens], target, positions=positions), expected)
    for ask in (
        lambda: cache.layout,
        lambda: cache.logit_attrs(stream[:, :, :1], target, positions=(0, 0)),
        lambda: cache.logit_attrs(stream, target, positions=torch.ones(1, 8, dtype=torch.bool)),
    ):
        with pytest.raises(
            ValueError, match=r"must be known here; got 10 tokens, another number th"
        ):
            ask()


def test_a_layout_that_is_not_that_of_the_stream_is_refused():
    model, images = build(SIZELESS), images_for(SIZELESS)
    resid = torch.zeros(1, 10, 8, dtype=torch.float64)
    with pytest.raises(
        ValueError, match=r"`layout` must have the 10 tokens .*; got one of 8\. Pass"
    ):
        model(resid, start_at_layer=1, layout=model.layout)
    with pytest.raises(ValueError, match=r"`layout` must come with `start_at_layer`"):
        model(images, layout=model.layout)
