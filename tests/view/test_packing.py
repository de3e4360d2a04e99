import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitreous.view import exact, fitted, stepped, unpack

GENERATOR = np.random.default_rng(0)


def test_exact_values_come_back_as_float32():
    values = GENERATOR.normal(size=(3, 4, 5))
    assert np.array_equal(unpack(exact(values)), values.astype(np.float32))


def test_whole_numbers_come_back_as_they_were():
    indices = np.array([[0, 999], [65535, 7]])
    assert np.array_equal(unpack(exact(indices)), indices)


def test_tensors_with_a_gradient_are_packed_too():
    values = torch.ones(2, 3, requires_grad=True)
    assert np.array_equal(unpack(exact(values)), np.ones((2, 3)))


@given(st.integers(1, 5), st.integers(1, 7), st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
def test_stepped_values_are_off_by_half_a_step_at_most(rows, columns, size, seed):
    values = np.random.default_rng(seed).normal(scale=size, size=(rows, columns)).astype(np.float32)
    packed = stepped(values)
    error = np.abs(unpack(packed) - values).max()
    assert error <= packed.largest_step * 0.5 + 1e-6 * np.abs(values).max()


def test_each_row_has_steps_of_its_own():
    values = np.array([[0.0, 1.0, 0.3], [-1000.0, 1000.0, 3.0]], dtype=np.float32)
    assert np.abs(unpack(stepped(values)) - values)[0].max() < 1e-3


def test_a_constant_row_comes_back_exactly():
    values = np.full((2, 5), 0.7, dtype=np.float32)
    assert np.array_equal(unpack(stepped(values)), values)


def test_a_megabyte_is_exact_and_more_is_stepped():
    assert fitted(np.zeros((250, 1000), np.float32)).kind == "float32"
    assert fitted(np.zeros((251, 1000), np.float32)).kind == "uint12"


def test_a_stepped_value_takes_one_and_a_half_bytes():
    packed = stepped(np.zeros((100, 200), np.float32))
    assert len(packed.data) == 100 * 200 * 3 // 2 + 100 * 8


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"must be finite; got 1 of 3 that are not\. Look for NaN"):
        exact(np.array([0.0, np.nan, 1.0]))


def test_indices_beyond_sixteen_bits_are_refused():
    with pytest.raises(ValueError, match=r"must lie in 0\.\.65535; got -1\.\.3"):
        exact(np.array([-1, 3]))
