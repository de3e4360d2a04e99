"""Values of another run, whole or inside a subspace."""

import functools

import pytest
import torch

from tests.laws._models import assert_equal, random_like
from tests.tiny import READOUTS, images_of, random_model
from vitreous.hooks import ActivationPatch, SwapSubspace, site, wrap
from vitreous.models import HookedViT

SOME = ("class token", "attention pooling", "clips, attention over time and over space")
RESID = "blocks.1.hook_resid_post"


@functools.cache
def model_of(name: str) -> HookedViT:
    return random_model(**READOUTS[name])


def runs(model):
    """Images of a clean and of a corrupt run, and their caches."""
    clean, corrupt = images_of(model), images_of(model, seed=8)
    with torch.no_grad():
        return clean, corrupt, model.run_with_cache(clean)[1], model.run_with_cache(corrupt)[1]


def under(model, interventions, images):
    with torch.no_grad(), model.intervene(interventions):
        return model(images)


def directions(count, width, seed=0):
    return random_like(torch.empty(count, width, dtype=torch.float64), seed)


# ---- the two directions


@pytest.mark.parametrize("readout", READOUTS)
def test_everything_patched_is_the_other_run(readout):
    model = model_of(readout)
    clean, corrupt, clean_cache, corrupt_cache = runs(model)
    for each in (
        (ActivationPatch.denoise(RESID, clean_cache), corrupt, clean),
        (ActivationPatch.noise(RESID, corrupt_cache), clean, corrupt),
    ):
        patch, baseline, other = each
        assert_equal(under(model, patch, baseline), model(other))


@pytest.mark.parametrize("readout", SOME)
def test_a_run_patched_with_itself_is_untouched(readout):
    model = model_of(readout)
    clean, _, cache, _ = runs(model)
    for name in (RESID, "L0H1", "blocks.2.attn.hook_pattern"):
        assert_equal(under(model, ActivationPatch(name, cache), clean), model(clean))


def test_a_patch_tells_its_direction():
    model = model_of("class token")
    _, _, clean, corrupt = runs(model)
    assert "direction='denoise'" in repr(ActivationPatch.denoise("L1H0", clean))
    assert "direction='noise'" in repr(ActivationPatch.noise(site("L1H0"), corrupt))
    assert "direction" not in repr(ActivationPatch("L1H0", clean))


def test_values_come_from_any_mapping_of_names():
    model = model_of("class token")
    clean, _, _, corrupt = runs(model)
    plain = {RESID: corrupt[RESID]}
    expected = under(model, ActivationPatch(RESID, corrupt), clean)
    assert torch.equal(under(model, ActivationPatch(RESID, plain), clean), expected)


# ---- subspaces


def slow_swap(values, others, basis):
    """Coordinates in an orthonormal basis of the whole space, by Gram and Schmidt."""
    width = basis.shape[1]
    rows: list[torch.Tensor] = []
    for vector in (*basis, *directions(width, width, seed=4)):
        rest = vector - sum((row * (row @ vector) for row in rows), torch.zeros(width).double())
        if len(rows) < width:
            rows.append(rest / rest.norm())
    turned = torch.stack(rows)
    mine, theirs = values @ turned.T, others @ turned.T
    return torch.cat([theirs[..., : len(basis)], mine[..., len(basis) :]], -1) @ turned


@pytest.mark.parametrize("count", [1, 3, 16])
def test_a_swap_moves_the_coordinates_in_the_subspace_and_no_others(count):
    model = model_of("class token")
    clean, _, mine, theirs = runs(model)
    basis = directions(count, 16) * torch.logspace(-6, 6, count, dtype=torch.float64)[:, None]
    with model.intervene(SwapSubspace(site(RESID, positions="patches"), basis, theirs)):
        _, cache = model.run_with_cache(clean, names_filter=RESID)
    expected = mine[RESID].clone()
    expected[:, 1:] = slow_swap(mine[RESID], theirs[RESID], basis)[:, 1:]
    assert_equal(cache[RESID], expected)


@pytest.mark.parametrize("readout", SOME)
def test_a_swap_of_the_whole_space_is_a_patch(readout):
    model = model_of(readout)
    clean, _, _, corrupt = runs(model)
    for where, width in ((RESID, 16), (site("L1H2", positions=[0, 2]), 4)):
        swapped = under(model, SwapSubspace(where, directions(width, width), corrupt), clean)
        assert_equal(swapped, under(model, ActivationPatch(where, corrupt), clean))


def test_the_basis_of_a_subspace_does_not_matter():
    model = model_of("class token")
    clean, _, _, corrupt = runs(model)
    basis = directions(3, 16)
    other = directions(3, 3, seed=7) @ basis
    assert_equal(
        under(model, SwapSubspace(RESID, basis, corrupt), clean),
        under(model, SwapSubspace(RESID, other, corrupt), clean),
    )


def test_a_basis_can_be_learned():
    model = model_of("class token")
    clean, corrupt, _, cache = runs(model)
    basis = directions(2, 16).requires_grad_()
    with model.intervene(SwapSubspace(RESID, basis, cache)):
        (model(clean) - model(corrupt)).pow(2).sum().backward()
    assert basis.grad is not None and basis.grad.abs().min() > 0
    along = (basis.grad * basis).sum(-1)  # the length of a vector changes nothing
    assert along.abs().max() < 1e-10 * basis.grad.abs().max()


def test_values_of_a_wrapped_module_are_swapped():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    model = wrap(module.double())
    one, two = torch.randn(2, 3, 4, dtype=torch.float64)
    _, cache = model.run_with_cache(two)
    assert_equal(under(model, SwapSubspace("0", directions(6, 6), cache), one), model(two))
    part = under(model, SwapSubspace("0", directions(2, 6), cache), one)
    assert (part - model(one)).abs().max() > 1e-3 and (part - model(two)).abs().max() > 1e-3


def test_a_swap_keeps_half_precision():
    model = random_model(**READOUTS["class token"]).to(torch.bfloat16)
    clean, _, _, corrupt = runs(model)
    swapped = under(model, SwapSubspace(RESID, directions(2, 16), corrupt), clean)
    assert swapped.dtype == torch.bfloat16 and swapped.isfinite().all()
