"""TextSpan finds planted texts, rebuilds what they span, and equals its definition."""

import numpy as np
import pytest
import torch

from tests.tiny import random_images, random_model
from vitreous.decomposition import head_outputs, text_span


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def by_definition(outputs, bank, k):
    """Algorithm 1 of the paper, on centered vectors, one whole vector at a time."""
    data = outputs.numpy() - outputs.numpy().mean(0)
    _, S, Vh = np.linalg.svd(data, full_matrices=False)
    row_space = Vh[S / S[0] > 1e-9]
    texts = np.array([row_space.T @ (row_space @ text) for text in bank.numpy()])
    chosen, rebuilt = [], np.zeros_like(data)
    for _ in range(k):
        spreads = [np.std([row @ text for row in data]) for text in texts]
        best = int(np.argmax(spreads))
        chosen.append(best)
        unit = texts[best] / np.linalg.norm(texts[best])
        part = np.array([(row @ unit) * unit for row in data])
        rebuilt, data = rebuilt + part, data - part
        texts = np.array([text - (text @ unit) * unit for text in texts])
    return chosen, rebuilt + outputs.numpy().mean(0)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_it_is_algorithm_1(k):
    outputs, bank = randn(40, 9) * torch.linspace(0.1, 2, 9), randn(25, 9, seed=1)
    span = text_span(outputs, bank, k)
    chosen, rebuilt = by_definition(outputs, bank, k)
    assert span.chosen.tolist() == chosen
    np.testing.assert_allclose(span(outputs), rebuilt, atol=1e-11)


def planted(n_planted=3, width=12):
    """Vectors that vary along the first texts of a bank, the first most, whose others are small."""
    bank = torch.linalg.qr(randn(width, width))[0]
    bank[n_planted:] += 0.3 * randn(width - n_planted, width, seed=3) / width**0.5
    codes = randn(50, n_planted, seed=1) * torch.tensor([3.0, 2.0, 1.0]).double()
    return codes @ bank[:n_planted] + randn(width, seed=2), bank


def test_planted_texts_are_found_in_order_and_rebuild_the_vectors_exactly():
    outputs, bank = planted()
    span = text_span(outputs, bank, 5, texts=[f"word {i}" for i in range(12)])
    assert span.texts == ("word 0", "word 1", "word 2")
    torch.testing.assert_close(span(outputs), outputs, rtol=0, atol=1e-12)
    assert span.explained[-1].item() == pytest.approx(1, abs=1e-12)


def test_what_is_left_is_orthogonal_to_the_chosen_texts():
    outputs, bank = randn(40, 9), randn(25, 9, seed=1)
    span = text_span(outputs, bank, 4)
    left = outputs - span(outputs)
    assert (left @ bank[span.chosen].T).abs().max() < 1e-12
    assert (left @ bank.T).abs().max() > 0.1


@pytest.mark.parametrize("normalize", [False, True])
def test_texts_that_stand_in_the_bank_twice_change_nothing(normalize):
    outputs, bank = randn(40, 9), randn(25, 9, seed=1)
    once = text_span(outputs, bank, 6, normalize=normalize)
    twice = text_span(outputs, bank.repeat(2, 1), 6, normalize=normalize)
    assert torch.equal(once.chosen, twice.chosen)
    torch.testing.assert_close(once(outputs), twice(outputs), rtol=0, atol=1e-12)


def test_normalized_texts_count_by_their_direction_alone():
    outputs, bank = randn(40, 9), randn(25, 9, seed=1)
    lengths = torch.linspace(0.01, 10, 25, dtype=torch.float64)[:, None]
    as_it_is, scaled = (text_span(outputs, b, 5, normalize=True) for b in (bank, bank * lengths))
    assert torch.equal(as_it_is.chosen, scaled.chosen)
    assert not torch.equal(as_it_is.chosen, text_span(outputs, bank * lengths, 5).chosen)


def test_the_explained_part_is_that_of_the_rebuilt_vectors():
    outputs, bank = randn(40, 9), randn(25, 9, seed=1)
    span = text_span(outputs, bank, 4)
    variances = [(x - x.mean(0)).pow(2).sum() for x in (span(outputs), outputs)]
    assert span.explained[-1].item() == pytest.approx((variances[0] / variances[1]).item())
    assert (span.explained.diff() > 0).all()


def test_the_rank_keeps_the_texts_to_the_first_principal_directions():
    outputs = randn(40, 9) * torch.tensor([5.0, 4, 3, 1, 1, 1, 1, 1, 1])
    span = text_span(outputs, randn(25, 9, seed=1), 9, rank=2)
    assert len(span.chosen) == 2
    Vh = torch.linalg.svd(outputs - outputs.mean(0)).Vh[:2]
    torch.testing.assert_close(span.basis @ Vh.T @ Vh, span.basis)


def test_heads_of_a_classifier_are_described_by_its_classes():
    model = random_model()
    outputs = head_outputs(model, random_images(12), 2, 1, space="features")
    span = text_span(outputs, model.W_U.T.detach(), 2, texts=["a", "b", "c", "d", "e"])
    table = span.table()
    assert table.dims == ("component",) and set(table["component"].values) <= set("abcde")
    assert len(span.texts) == 2


def test_half_precision_is_described_as_well():
    outputs, bank = randn(40, 9).bfloat16(), randn(25, 9, seed=1).bfloat16()
    span = text_span(outputs, bank, 3)
    assert span(outputs).dtype == torch.bfloat16
    assert span.chosen.tolist() == by_definition(outputs.double(), bank.double(), 3)[0]
