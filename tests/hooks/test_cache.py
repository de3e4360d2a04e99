"""What a cache holds, how much that is, and where it can go."""

import copy

import pytest
import torch

from tests.laws._models import assert_equal, build, images_for
from tests.laws.test_spans import THREE
from vitreous._errors import HookError, UnknownNameError
from vitreous.hooks import ActivationCache
from vitreous.models import PositionConfig


@pytest.fixture
def model():
    return build(THREE)


@pytest.fixture
def cache(model):
    return model.run_with_cache(images_for(THREE))[1]


def storages(values):
    return {
        value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in values
    }


# ---- size


def test_bytes_of_shared_storage_count_once(model):
    names = [("q", 0), ("k", 0), ("v", 0)]
    _, cache = model.run_with_cache(images_for(THREE), names_filter=names)
    assert cache.nbytes == sum(cache[name].nbytes for name in names)
    assert len(storages(cache.values())) == 1


def test_a_default_cache_holds_much_less_than_every_default_value(model):
    images = images_for(THREE, 4)
    _, little = model.run_with_cache(images)
    names = model.hook_names(on_demand=False)
    _, everything = model.run_with_cache(images, names_filter=names)
    assert list(little) == list(everything) == names
    assert little.nbytes < 0.6 * everything.nbytes
    assert little.nbytes == sum(storages(little[name] for name in little.stored_names).values())


def test_a_filter_keeps_what_it_names_and_nothing_else(model):
    _, cache = model.run_with_cache(images_for(THREE), names_filter="blocks.1.hook_resid_pre")
    assert cache.stored_names == list(cache) == ["blocks.1.hook_resid_pre"]
    assert cache.nbytes == cache["resid_pre", 1].nbytes


# ---- mapping


def test_a_cache_is_a_dictionary_of_the_default_names(model, cache):
    names = model.hook_names(on_demand=False)
    assert list(cache) == list(cache.keys()) == [name for name, _ in cache.items()] == names
    assert len(cache) == len(list(cache.values())) == len(names)
    assert "blocks.0.attn.hook_result" in cache and "blocks.0.attn.hook_result" not in list(cache)
    assert "nothing" not in cache and cache.get("nothing") is None


def test_get_falls_back_for_what_can_not_be_read(model):
    _, cache = model.run_with_cache(images_for(THREE), names_filter="blocks.1.attn.hook_pattern")
    assert "hook_embed" not in cache
    assert cache.get("hook_embed", 7) == 7
    assert cache.get(("pattern", 1)) is cache["pattern", 1]


def test_what_can_not_be_derived_names_what_there_is(model):
    _, cache = model.run_with_cache(images_for(THREE), names_filter="blocks.1.attn.hook_pattern")
    with pytest.raises(
        HookError, match=r"this cache holds blocks\.1\.attn\.hook_pattern\. Name it"
    ):
        cache["hook_embed"]


# ---- weights that change


def step(model):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(images_for(THREE)).sum().backward()
    optimizer.step()


def replace(model):
    weight = model.blocks[1].attn.qkv.weight
    model.blocks[1].attn.qkv.weight = torch.nn.Parameter(weight.detach().clone())


@pytest.mark.parametrize(
    "change",
    [
        step,
        replace,
        lambda model: model.load_state_dict(build(THREE, seed=5).state_dict()),
        lambda model: model.blocks[2].attn.W_Q.detach().mul_(2),
        lambda model: model.float(),
    ],
    ids=["optimizer", "replaced", "loaded", "view", "dtype"],
)
def test_deriving_after_the_weights_changed_raises(model, cache, change):
    before = cache["pattern", 1]
    change(model)
    with pytest.raises(
        HookError, match="must derive from the weights of the run; they have changed"
    ):
        cache["pattern", 0]
    assert cache["pattern", 1] is before  # what was read before is held


def test_moving_a_model_to_where_it_is_changes_no_weights(model, cache):
    model.to("cpu").eval().requires_grad_(False)
    assert cache["pattern", 0].shape[-1] == model.layout.n_tokens


def test_a_copy_of_the_model_may_change(model, cache):
    other = copy.deepcopy(model)
    step(other)
    assert_equal(cache["pattern", 0], model.run_with_cache(images_for(THREE))[1]["pattern", 0])


# ---- on disk


def test_a_saved_cache_comes_back_whole(model, cache, tmp_path):
    cache["result", 1]
    cache.save(tmp_path / "run.safetensors")
    loaded = ActivationCache.load(tmp_path / "run.safetensors", model.names)
    assert list(loaded) == list(cache)
    for name, value in cache.items():
        assert torch.equal(loaded[name], value), name
    assert torch.equal(loaded["result", 1], cache["result", 1])
    assert not list(tmp_path.glob("*.part"))


def test_a_loaded_cache_says_what_it_can_not_derive(model, cache, tmp_path):
    cache.save(tmp_path / "run.safetensors")
    loaded = ActivationCache.load(tmp_path / "run.safetensors", model.names)
    with pytest.raises(HookError, match="must be stored or derive from what is stored"):
        loaded["result", 0]
    with pytest.raises(UnknownNameError):
        loaded["nothing"]


def test_gradients_and_the_lack_of_a_batch_dimension_survive_a_save(model, tmp_path):
    _, cache = model.run_with_cache(
        images_for(THREE, 1), names_filter="*.hook_z", incl_bwd=lambda x: x[:, 0],
        remove_batch_dim=True,
    )  # fmt: skip
    cache.save(tmp_path / "run.safetensors")
    loaded = ActivationCache.load(tmp_path / "run.safetensors")
    assert list(loaded) == list(cache) and not loaded.has_batch_dim
    name = "blocks.1.attn.hook_z_grad"
    assert torch.equal(loaded[name], cache[name]) and loaded[name].any()


def test_a_save_that_fails_leaves_nothing_behind(cache, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(OSError, match="directory"):
        cache.save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


def test_a_model_gives_a_saved_run_its_methods_back(model, cache, tmp_path):
    cache.save(tmp_path / "run.safetensors")
    loaded = model.load_cache(tmp_path / "run.safetensors")
    assert_equal(loaded["result", 1], cache["result", 1])
    assert_equal(loaded.decompose_resid().sum(0), cache["resid_post", -1])
    step(model)
    with pytest.raises(HookError, match="must come from a run with these weights"):
        model.load_cache(tmp_path / "run.safetensors")


def test_a_saved_run_knows_the_grid_that_it_ran_on(tmp_path):
    free = THREE.replace(position=PositionConfig("sincos"))
    model, images = build(free), images_for(free.replace(image_size=(6, 12)))
    _, cache = model.run_with_cache(images, names_filter="hook_embed")
    cache.save(tmp_path / "run.safetensors")
    loaded = model.load_cache(tmp_path / "run.safetensors")
    assert loaded.layout == cache.layout and loaded.layout.grid == (1, 3, 4)
    assert_equal(loaded["resid_post", -1], cache["resid_post", -1])


def test_a_run_saved_after_the_weights_changed_belongs_to_no_model(model, tmp_path):
    _, cache = model.run_with_cache(images_for(THREE), names_filter="hook_embed")
    step(model)
    cache.save(tmp_path / "run.safetensors")
    with pytest.raises(HookError, match="must come from a run with these weights"):
        model.load_cache(tmp_path / "run.safetensors")


# ---- form


def test_only_a_run_on_one_image_loses_its_batch_dimension(cache):
    with pytest.raises(ValueError, match="needs a run on one image; got a batch of 2"):
        cache.remove_batch_dim()


def test_removing_the_batch_dimension_twice_is_removing_it_once(model):
    _, cache = model.run_with_cache(images_for(THREE, 1))
    assert cache.remove_batch_dim().remove_batch_dim()["hook_embed"].shape == (7, 8)


def test_values_can_be_kept_on_another_device(model):
    _, cache = model.run_with_cache(images_for(THREE), names_filter="hook_embed", device="meta")
    assert cache["hook_embed"].device.type == "meta"
    _, cache = model.run_with_cache(images_for(THREE))
    assert cache.to("meta")["hook_embed"].is_meta


def test_a_cache_prints_what_it_holds(cache):
    assert repr(cache).startswith(f"TransformerCache({len(cache)} names, ")
