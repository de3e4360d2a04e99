"""Sparse codes are optimal, equal scikit-learn's, and recover what was planted."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso, orthogonal_mp

from vitreous.decomposition import sparse_text_code

D, TEXTS = 24, 40


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def embeddings():
    return randn(12, D) + 2 * randn(D, seed=5)


@pytest.fixture
def bank():
    return randn(TEXTS, D, seed=1) - 3 * randn(D, seed=6)


def prepared(vectors):
    """As in the paper, one vector at a time."""
    rows = [row / np.linalg.norm(row) for row in vectors.numpy()]
    rows = [row - np.mean(rows, axis=0) for row in rows]
    return np.stack([row / np.linalg.norm(row) for row in rows])


def test_codes_are_those_of_scikit_learn_on_centered_directions(embeddings, bank):
    z, C = prepared(embeddings), prepared(bank)
    code = sparse_text_code(embeddings, bank, penalty=0.1)
    for image in range(len(z)):
        lasso = Lasso(alpha=0.1 / D, positive=True, fit_intercept=False, tol=1e-10, max_iter=10**5)
        expected = lasso.fit(C.T, z[image]).coef_
        np.testing.assert_allclose(code["weight"][image], expected, atol=1e-6)


@pytest.mark.parametrize("penalty", [0.05, 0.25])
def test_no_text_without_a_weight_resembles_what_is_left_by_more_than_the_penalty(
    embeddings, bank, penalty
):
    z, C = prepared(embeddings), prepared(bank)
    weights = sparse_text_code(embeddings, bank, penalty=penalty)["weight"].values
    left = (z - weights @ C) @ C.T
    assert (weights >= 0).all() and (weights > 0).any()
    assert left.max() < penalty + 1e-5
    np.testing.assert_allclose(left[weights > 0], penalty, atol=1e-5)


def test_matching_pursuit_takes_the_nearest_text_and_fits_anew(embeddings, bank):
    z, C = prepared(embeddings), prepared(bank)
    weights = sparse_text_code(embeddings, bank, method="omp", n_texts=4)["weight"].values
    np.testing.assert_allclose(weights.T, orthogonal_mp(C.T, z.T, n_nonzero_coefs=4), atol=1e-10)
    for direction, found in zip(z, weights, strict=True):
        chosen, left = [], direction
        for _ in range(4):
            chosen.append(int(np.abs(C @ left).argmax()))
            fit = np.linalg.lstsq(C[chosen].T, direction, rcond=None)[0]
            left = direction - fit @ C[chosen]
        np.testing.assert_allclose(found[chosen], fit, atol=1e-10)
        assert np.count_nonzero(found) == 4


@pytest.mark.parametrize("method", ["lasso", "omp"])
def test_planted_codes_are_recovered(method):
    bank = torch.linalg.qr(randn(64, 64))[0][:30] + 0.02 * randn(30, 64, seed=2)
    bank = bank / bank.norm(dim=-1, keepdim=True)
    planted = torch.zeros(6, 30, dtype=torch.float64)
    for image in range(6):
        planted[image, [image, image + 7, image + 19]] = torch.tensor([0.9, 0.6, 0.5]).double()
    vectors = planted @ bank
    names = [f"word {i}" for i in range(30)]
    code = sparse_text_code(
        vectors, bank, method=method, penalty=0.02, n_texts=3, texts=names, center=False
    )
    truth = planted / vectors.norm(dim=-1, keepdim=True)
    np.testing.assert_allclose(code["weight"], truth, atol=0.05 if method == "lasso" else 1e-10)
    assert (code["cosine"] > 0.999).all() and (code["count"] >= 3).all()
    strongest = code["label"].values[code["weight"].values.argmax(1)]
    assert strongest.tolist() == names[:6]


def test_a_large_penalty_leaves_no_text(embeddings, bank):
    code = sparse_text_code(embeddings, bank, penalty=1.5)
    assert (code["count"] == 0).all() and code["cosine"].isnull().all()


def test_means_of_large_sets_take_the_place_of_those_at_hand(embeddings, bank):
    unit = embeddings / embeddings.norm(dim=-1, keepdim=True)
    alone = sparse_text_code(embeddings[:1], bank, penalty=0.1, image_mean=unit.mean(0))
    together = sparse_text_code(embeddings, bank, penalty=0.1)
    np.testing.assert_allclose(alone["weight"][0], together["weight"][0], atol=1e-6)
