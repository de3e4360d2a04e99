"""Streamed means against means of everything at once."""

import pytest
import torch

from vitreous import site
from vitreous.data import Images
from vitreous.models import HookedViT, HookedViTConfig
from vitreous.training import means

Z = "blocks.1.attn.hook_z"
PATTERN = "blocks.0.attn.hook_pattern"


@pytest.fixture
def model() -> HookedViT:
    torch.manual_seed(0)
    config = HookedViTConfig(2, 16, 2, d_mlp=32, image_size=8, patch_size=4, n_classes=3)
    return HookedViT(config).eval()


@pytest.fixture
def images() -> Images:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(7, 3, 8, 8, generator=generator)
    return Images.from_tensor(pixels, torch.tensor([0, 2, 2, 0, 2, 0, 2]), batch_size=3)


def all_at_once(model: HookedViT, images: Images, name: str) -> torch.Tensor:
    with torch.no_grad():
        return model.run_with_cache(images[:].pixels)[1][name]


def test_the_mean_over_images_and_tokens(model, images):
    expected = all_at_once(model, images, Z).mean((0, 1))
    torch.testing.assert_close(means(model, images, Z).values[Z], expected)


def test_the_mean_by_position_keeps_tokens(model, images):
    found = means(model, images, Z, by="position")
    torch.testing.assert_close(found.values[Z], all_at_once(model, images, Z).mean(0))
    assert found.at(Z).shape == (5, 2, 8)


def test_the_mean_by_label_is_nan_where_a_label_has_no_image(model, images):
    found = means(model, images, Z, by="label").values[Z]
    values = all_at_once(model, images, Z)
    torch.testing.assert_close(found[2], values[images[:].labels == 2].mean((0, 1)))
    assert found[1].isnan().all()


def test_a_label_that_comes_only_in_a_later_batch_is_counted_right(model, images):
    in_order = images.subset([0, 3, 5, 1, 2, 4, 6])
    by_label = [means(model, each, Z, by="label").values[Z] for each in (images, in_order)]
    torch.testing.assert_close(by_label[0], by_label[1], equal_nan=True)


def test_the_mean_of_a_pattern_averages_queries_and_keeps_keys(model, images):
    expected = all_at_once(model, images, PATTERN).mean((0, 2))
    torch.testing.assert_close(means(model, images, PATTERN).values[PATTERN], expected)


def test_the_size_of_batches_does_not_matter(model, images):
    by_one, by_seven = (means(model, images.batched(size), Z) for size in (1, 7))
    torch.testing.assert_close(by_one.values[Z], by_seven.values[Z], rtol=1e-6, atol=1e-7)


def test_a_glob_and_sites_name_whole_hook_points(model, images):
    by_glob = means(model, images[:].pixels, "*.hook_z")
    by_site = means(model, images, [site("L0H1"), site("L1H0", positions="cls")])
    assert list(by_glob.values) == list(by_site.values) == ["blocks.0.attn.hook_z", Z]
    assert by_site.values[Z].shape == (2, 8)
    assert by_glob.count == 7


def test_the_description_says_whose_mean_it_is(model, images):
    assert means(model, images, Z).description == "the mean over 7 images"
    assert means(model, images, Z, description="cats").description == "cats"


def test_means_by_label_need_labels(model, images):
    with pytest.raises(ValueError, match="`by='label'` needs images with labels; got none"):
        means(model, images[:].pixels, Z, by="label")


def test_no_images_have_no_mean(model, images):
    with pytest.raises(ValueError, match="`images` must hold an image; got none"):
        means(model, images.subset([]), Z)
