"""A product of factors is the matrix, in everything that can be asked of it."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from tests.laws._models import assert_equal, law, random_like
from vitreous.models import FactoredMatrix

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
BATCHES = st.sampled_from([(), (3,), (2, 3)])


def random(*shape, seed=0):
    return random_like(torch.empty(shape, dtype=torch.float64), seed)


def factored(left=5, inner=2, right=4, batch=(), seed=0):
    return FactoredMatrix(random(*batch, left, inner), random(*batch, inner, right, seed=seed + 7))


@law(SIZES, BATCHES)
def test_singular_values_and_vectors_are_those_of_the_matrix(sizes, batch):
    m = factored(*sizes, batch)
    U, S, V = m.svd()
    assert_equal(U @ torch.diag_embed(S) @ V.mT, m.AB)
    rank = min(sizes)
    assert_equal(S[..., :rank], torch.linalg.svdvals(m.AB)[..., :rank])
    assert S.shape[-1] <= sizes[1] and (S[..., rank:].abs() < 1e-12).all()
    assert (S[..., :-1] >= S[..., 1:]).all()
    eye = torch.eye(S.shape[-1], dtype=torch.float64)
    assert_equal(U.mT @ U, eye.expand(*batch, -1, -1))
    assert_equal(V.mT @ V, eye.expand(*batch, -1, -1))
    assert_equal(m.U @ torch.diag_embed(m.S) @ m.V.mT, m.AB)


@law(st.integers(1, 5), st.integers(1, 5), BATCHES)
def test_eigenvalues_are_those_of_the_matrix_but_for_zeros(size, inner, batch):
    m = factored(size, inner, size, batch)
    ours, theirs = m.eigenvalues, torch.linalg.eigvals(m.AB)
    assert ours.shape[-1] == min(size, inner)
    for power in (1, 2, 3):
        assert_equal((ours**power).sum(-1).real, (theirs**power).sum(-1).real)


@law(SIZES, BATCHES)
def test_norm_corner_and_halves_are_those_of_the_matrix(sizes, batch):
    m = factored(*sizes, batch)
    assert_equal(m.norm(), torch.linalg.matrix_norm(m.AB))
    assert_equal(m.get_corner(2), m.AB[..., :2, :2])
    assert_equal(m.make_even().AB, m.AB)
    assert_equal(m.collapse_l().mT @ m.collapse_l(), m.AB.mT @ m.AB)
    assert_equal(m.collapse_r() @ m.collapse_r().mT, m.AB @ m.AB.mT)
    assert_equal(m.T.AB, m.AB.mT)
    assert m.shape == m.AB.shape and m.ndim == m.AB.ndim


@law(SIZES, BATCHES, st.integers(1, 5))
def test_products_are_those_of_the_matrix(sizes, batch, other):
    m, (left, _, right) = factored(*sizes, batch), sizes
    for narrow in (random(right, other), random(*batch, right, other)):
        assert_equal((m @ narrow).AB, m.AB @ narrow)
    for narrow in (random(other, left), random(*batch, other, left)):
        assert_equal((narrow @ m).AB, narrow @ m.AB)
    assert_equal(m @ random(right), m.AB @ random(right))
    assert_equal(random(left) @ m, random(left) @ m.AB)
    second = factored(right, 2, other, batch, seed=3)
    assert_equal((m @ second).AB, m.AB @ second.AB)
    assert_equal((m * 3).AB, 3 * m.AB)
    assert_equal((torch.tensor(0.5) * m).AB, m.AB / 2)


@pytest.mark.parametrize(
    "index",
    [
        (0,), (1, 2), (slice(0, 1),), ([1, 0],), (..., slice(1, 3)), (slice(None), 0, slice(2)),
        (0, 0, slice(None), slice(1, None)), (1, slice(None), [0, 2]), (..., slice(2), slice(3)),
        (torch.tensor([True, False]),), (Ellipsis,),
    ],
    ids=str,
)  # fmt: skip
def test_an_index_selects_what_it_selects_of_the_matrix(index):
    m = factored(batch=(2, 3))
    assert_equal(m[index].AB, m.AB[index])


@pytest.mark.parametrize(
    "index",
    [
        (0, 0, 3), (0, 0, -1), (0, 0, slice(None), 2), (0, 0, -2, -1), (0, 0, np.int64(3)),
        (0, 0, torch.tensor(3), torch.tensor([1])),
    ],
    ids=str,
)  # fmt: skip
def test_a_row_or_column_keeps_its_dimension(index):
    m = factored(batch=(2, 3))
    assert_equal(m[index].AB.squeeze(), m.AB[index].squeeze())
    assert m[index].ndim == 2


@pytest.mark.parametrize(
    "index", [(2,), (0, 3), (0, 0, 5), (0, 0, -6), (0, 0, 0, 4), (0, 0, 0, 0, 0)]
)
def test_an_index_outside_of_the_matrix_raises(index):
    with pytest.raises(IndexError):
        factored(batch=(2, 3))[index]


def test_lists_of_rows_and_columns_select_every_combination():
    m = factored(batch=(3,))
    assert_equal(m[0, [4, 0], [1, 1, 3]].AB, m.AB[0][[4, 0]][:, [1, 1, 3]])


@pytest.mark.parametrize("index", [None, (0, 0, None), (None, 0, 0, 1), torch.ones(2, 3).bool()])
def test_an_index_stands_for_one_dimension(index):
    with pytest.raises(IndexError, match="must stand for one dimension; got None, or an array of"):
        factored(batch=(2, 3))[index]


def test_batch_dimensions_broadcast():
    m = FactoredMatrix(random(3, 5, 2), random(2, 1, 2, 4))
    assert m.shape == (2, 3, 5, 4) == m.AB.shape
    assert_equal(m[1, 2].AB, m.AB[1, 2])
    for dim in range(3):
        assert_equal(m.unsqueeze(dim).AB, m.AB.unsqueeze(dim))
    assert_equal(m.norm(), torch.linalg.matrix_norm(m.AB))
    assert_equal(m.make_even().AB, m.AB)


def test_factors_wider_than_the_matrix_lose_their_rank():
    m = FactoredMatrix(random(6, 1) @ random(1, 3), random(3, 5))
    assert m.S.shape == (3,) and (m.S[1:] < 1e-14 * m.S[0]).all()
    assert_equal(m.make_even().AB, m.AB)
    assert_equal(factored(4, 6, 4).S, torch.linalg.svdvals(factored(4, 6, 4).AB))


def test_a_matrix_of_zeros_is_one_as_well():
    m = FactoredMatrix(torch.zeros(4, 2).double(), random(2, 4))
    for value in (m.S, m.norm(), m.eigenvalues.abs(), m.make_even().AB, m.collapse_r()):
        assert not value.any()


def test_a_tensor_of_one_number_is_a_scalar_whatever_its_shape():
    assert_equal((factored() * torch.full((1, 1, 1), 2.0).double()).AB, 2 * factored().AB)


def test_gradients_flow_through_singular_values_into_the_factors():
    A = random(5, 2).requires_grad_()
    FactoredMatrix(A, random(2, 4)).S.sum().backward()
    dense = A.detach().clone().requires_grad_()
    torch.linalg.svdvals(dense @ random(2, 4)).sum().backward()
    assert_equal(A.grad, dense.grad)


def test_a_matrix_equals_itself_alone():
    m = factored()
    assert m == m
    assert m != factored()
    assert len({m, factored()}) == 2


def test_a_new_batch_dimension_stands_where_it_was_asked_for():
    assert factored(batch=(3,)).unsqueeze(1).shape == (3, 1, 5, 4)
    with pytest.raises(ValueError, match=r"must be a batch dimension in 0\.\.1; got 2"):
        factored(batch=(3,)).unsqueeze(2)


def test_only_square_products_have_eigenvalues():
    for what in ("eigenvalues", "BA"):
        with pytest.raises(ValueError, match=f"`{what}` needs a square product; got 5 x 4"):
            getattr(factored(), what)
    assert_equal(factored(4, 2, 4).BA, factored(4, 2, 4).B @ factored(4, 2, 4).A)


def test_a_matrix_times_many_numbers_raises():
    with pytest.raises(ValueError, match=r"can be multiplied by a scalar; got shape \[2\]"):
        factored() * torch.ones(2)
