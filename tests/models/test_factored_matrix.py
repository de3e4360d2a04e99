"""A product of factors is the matrix, in everything that can be asked of it."""

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


@pytest.mark.parametrize("index", [(0, 0, 3), (0, 0, -1), (0, 0, slice(None), 2), (0, 0, -2, -1)])
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


def test_batch_dimensions_broadcast():
    m = FactoredMatrix(random(3, 5, 2), random(2, 1, 2, 4))
    assert m.shape == (2, 3, 5, 4) == m.AB.shape
    assert_equal(m[1, 2].AB, m.AB[1, 2])


def test_a_new_batch_dimension_stands_where_it_was_asked_for():
    assert factored(batch=(3,)).unsqueeze(1).shape == (3, 1, 5, 4)
    with pytest.raises(ValueError, match=r"must be a batch dimension in 0\.\.1; got 2"):
        factored(batch=(3,)).unsqueeze(2)


def test_only_square_products_have_eigenvalues():
    for what in ("eigenvalues", "BA"):
        with pytest.raises(ValueError, match="`BA` needs a square product; got 5 x 4"):
            getattr(factored(), what)
    assert_equal(factored(4, 2, 4).BA, factored(4, 2, 4).B @ factored(4, 2, 4).A)


def test_a_matrix_times_many_numbers_raises():
    with pytest.raises(ValueError, match=r"can be multiplied by a scalar; got shape \[2\]"):
        factored() * torch.ones(2)
