"""What all lenses share: data sets, texts, classes, translators, and labeled results."""

import json

import numpy as np
import pytest
import torch

from tests.models.test_clip import towers
from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.data import Images
from vitreous.lenses import Translator, logit_lens, read_lens
from vitreous.models import HookedCLIP, PoolingConfig

TEXTS = ("a cat", "a dog, or two", "nothing {}")


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    model = HookedCLIP(*towers(), logit_scale=3.0, logit_bias=-1.0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.normal_().mul_(0.5)
    return model


@pytest.fixture(scope="module")
def small():
    return torch.randn(3, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("readout", READOUTS)
def test_the_readout_ends_in_the_output_of_every_model(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    lens = logit_lens(model, images, positions=None)
    assert list(lens) == ["readout"]
    expected = model(images).detach().numpy()
    np.testing.assert_allclose(lens["readout"][:, -1], expected, rtol=0, atol=1e-12)


def test_of_a_model_of_images_and_texts_the_class_token_ends_in_the_logits(clip, small):
    lens = logit_lens(clip, small, labels=TEXTS)
    expected = clip(small, list(TEXTS)).detach().numpy()
    np.testing.assert_allclose(lens["readout"][:, -1], expected, rtol=0, atol=1e-12)
    last = lens["logit"].sel(token="cls", layer=1)
    np.testing.assert_allclose(last, expected, rtol=0, atol=1e-12)
    assert lens["label"].values.tolist() == list(TEXTS)


def test_each_token_is_normalized_as_the_image_is(clip, small):
    lens = logit_lens(clip, small, labels=TEXTS)["logit"].sel(token="r1c0", layer=0)
    tower, texts = clip.image, clip.encode_text(list(TEXTS)).detach().numpy()
    token = tower(small, stop_at_layer=1)[:, 3]
    with torch.no_grad():
        said = tower.head.linear(tower.ln_final(token)).numpy()
    cosine = said @ texts.T / np.linalg.norm(said, axis=1, keepdims=True)
    np.testing.assert_allclose(lens, 3 * cosine - 1, rtol=0, atol=1e-12)


def test_texts_may_be_embeddings_of_any_length(clip, small):
    bank = clip.encode_text(list(TEXTS)) * torch.tensor([[2.0], [0.1], [7.0]])
    lens = logit_lens(clip, small, labels=bank)
    np.testing.assert_allclose(
        lens["logit"], logit_lens(clip, small, labels=TEXTS)["logit"], rtol=0, atol=1e-12
    )
    assert lens["label"].values.tolist() == ["text 0", "text 1", "text 2"]


def test_classes_in_words_are_read_as_a_head_is(clip, small):
    classes = clip.zero_shot(["cat", "dog", "bird"])
    lens = logit_lens(classes, small, positions="cls")
    expected = classes(small).detach().numpy()
    np.testing.assert_allclose(lens["logit"][:, -1, 0], expected, rtol=0, atol=1e-12)
    some = logit_lens(classes, small, labels=["bird", "cat"])
    np.testing.assert_allclose(some["readout"][:, -1], expected[:, [2, 0]], rtol=0, atol=1e-12)
    assert some["label"].values.tolist() == ["bird", "cat"]


def test_the_top_is_taken_from_some_classes_and_its_probability_from_all():
    model, images = random_model(), random_images()
    lens = logit_lens(model, images, labels=[3, 1, 4], top=2)
    whole = logit_lens(model, images)["logit"]
    found = lens["label"].to_numpy()
    assert set(np.unique(found)) <= {1, 3, 4}
    expected = np.sort(whole[..., [1, 3, 4]], -1)[..., :0:-1]
    np.testing.assert_allclose(lens["logit"], expected, rtol=0, atol=1e-12)
    total = np.log(np.exp(whole).sum("label"))
    np.testing.assert_allclose(lens["log_partition"], total, rtol=0, atol=1e-12)


@pytest.mark.parametrize("top", [None, 2])
def test_a_data_set_is_read_as_its_images_are(top):
    model, images, labels = random_model(), random_images(7), torch.arange(7) % 5
    streamed = logit_lens(model, Images.from_tensor(images, labels, batch_size=3), top=top)
    at_once = logit_lens(model, images, top=top)
    for name in at_once:
        np.testing.assert_allclose(streamed[name], at_once[name], rtol=0, atol=1e-12)
    assert streamed["true_label"].values.tolist() == labels.tolist()
    assert "true_label" not in at_once.coords


def test_a_pass_runs_once_and_no_further_than_it_is_read():
    model, ran = random_model(), []
    for layer, block in enumerate(model.blocks):
        block.register_forward_pre_hook(lambda *_, layer=layer: ran.append(layer))
    logit_lens(model, random_images(), layers=[-1, 1])
    assert ran == [0, 1]


def test_edits_of_blocks_are_read_and_hooks_of_the_readout_left_alone():
    model = random_model(**READOUTS["attention pooling"])
    images, fired = images_of(model), []
    edit = ("blocks.2.hook_resid_post", lambda resid, hook: 2 * resid)
    _, cache = model.run_with_cache(images, fwd_hooks=[edit])
    expected = logit_lens(model, images, cache=cache)
    for name in ("ln_final.hook_scale", "pooling.map.hook_pattern"):
        model.add_hook(name, lambda x, hook: fired.append(hook.name))
    with model.hooks(fwd_hooks=[edit]):
        lens = logit_lens(model, images)
    model.reset_hooks()
    for name in lens:
        np.testing.assert_allclose(lens[name], expected[name], rtol=0, atol=1e-12)
    assert sorted(fired) == ["ln_final.hook_scale", "pooling.map.hook_pattern"]  # by the pass


class Shift:
    """A translator that moves each stream by its layer."""

    def translate(self, resid, layer, layout):
        return resid + layer


def test_a_translator_takes_each_stream_first():
    model, images = random_model(), random_images()
    assert isinstance(Shift(), Translator)
    lens = read_lens(model, images, lens="shifted", translator=Shift())
    edits = [
        (f"blocks.{layer}.hook_resid_post", lambda resid, hook: resid + hook.layer())
        for layer in (1, 2)
    ]
    _, cache = model.run_with_cache(images)
    for layer, (name, edit) in enumerate(edits, 1):
        moved = edit(cache[name], model.hook_dict[name])
        with torch.no_grad():
            expected = model(moved, start_at_layer=3)
        np.testing.assert_allclose(lens["readout"].sel(layer=layer), expected, rtol=0, atol=1e-12)
    assert lens.attrs["lens"] == "shifted"


def test_one_patch_is_a_grid():
    model = random_model(image_size=4, pooling=PoolingConfig("mean"), cls_token=False)
    images = random_images(1, size=(4, 4))
    lens = logit_lens(model, images)
    assert lens["token"].values.tolist() == ["r0c0"] and lens["row"].values.tolist() == [0]
    np.testing.assert_allclose(lens["logit"][:, :, 0], lens["readout"], rtol=0, atol=1e-12)


def test_a_model_that_pools_nothing_has_rows_and_no_readout():
    model, images = random_model(pooling=PoolingConfig("none")), random_images()
    lens = logit_lens(model, images)
    assert list(lens) == ["logit"]
    np.testing.assert_allclose(lens["logit"][:, -1], model(images).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("top", [None, 3])
def test_all_that_a_lens_says_of_itself_is_plain(top):
    lens = logit_lens(random_model(), random_images(), top=top)
    assert json.loads(json.dumps(lens.attrs)) == lens.attrs


def test_patches_are_placed_and_other_tokens_are_not():
    lens = logit_lens(random_model(n_registers=1), random_images(), positions=[0, 1, -1, 4])
    assert lens["token"].values.tolist() == ["cls", "reg0", "r2c1", "r1c0"]
    assert lens["row"].values.tolist() == [-1, -1, 2, 1]
    assert lens["column"].values.tolist() == [-1, -1, 1, 0]
    assert lens.attrs["grid"] == [1, 3, 2] and lens.attrs["patch_size"] == [1, 4, 4]
