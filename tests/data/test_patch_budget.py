"""The size of a picture in its own shape, against the definition."""

import itertools

import pytest
import transformers

from vitreous.data._patch_budget import size_within


def best(rows: int, columns: int, patch: int, most: int) -> tuple[int, int]:
    """Of all grids that some factor gives and that are small enough, the largest."""
    factors = {k * patch / side for side in (rows, columns) for k in range(1, most + 1)}
    grids = {
        (-(-rows * f // patch), -(-columns * f // patch)) for f in (x - 1e-4 * x for x in factors)
    }
    down, across = max(
        (max(1, int(d)), max(1, int(a))) for d, a in grids if max(1, d) * max(1, a) <= most
    )
    return down * patch, across * patch


@pytest.mark.parametrize("most", [1, 20, 256])
def test_a_picture_is_as_large_as_its_patches_allow(most):
    for rows, columns in ((480, 640), (31, 977), (224, 224), (1000, 3)):
        size = size_within(rows, columns, 16, most)
        assert size[0] // 16 * (size[1] // 16) <= most
        assert size == best(rows, columns, 16, most)


def test_sizes_are_those_of_transformers():
    siglip2 = transformers.models.siglip2.image_processing_siglip2
    for rows, columns in itertools.product((1, 7, 33, 224, 225, 1333), repeat=2):
        for patch, most in ((16, 256), (14, 60), (8, 3)):
            expected = siglip2.get_image_size_for_max_num_patches(rows, columns, patch, most)
            assert size_within(rows, columns, patch, most) == expected


def test_a_single_patch_is_the_least():
    assert size_within(5000, 4, 16, 1) == (16, 16)
