"""The sweep over heads is the naive loop, only faster."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.hooks import Ablate
from vitreous.patching import ablate_heads
from vitreous.training import means


def one_by_one(model, images, target, reference) -> np.ndarray:
    """A whole hooked pass per head, with the mean written in by hand."""
    effect = torch.zeros(len(images), model.cfg.n_layers, model.cfg.n_heads, dtype=torch.float64)
    with torch.no_grad():
        baseline = target(model(images))
        for layer in range(model.cfg.n_layers):
            for head in range(model.cfg.n_heads):

                def replace(z, hook, head=head):
                    z[:, :, head] = reference.at(hook.name)[..., head, :]

                logits = model.run_with_hooks(images, fwd_hooks=[(("z", layer), replace)])
                effect[:, layer, head] = target(logits) - baseline
    return effect.numpy()


@pytest.mark.parametrize("by", [None, "position"])
@pytest.mark.parametrize("readout", READOUTS)
def test_the_sweep_equals_one_hooked_pass_per_head(readout, by):
    model = random_model(**READOUTS[readout])
    images = images_of(model, 3)
    target = model.target(0, minus=1)
    reference = means(model, images_of(model, 5, seed=7), "blocks.*.attn.hook_z", by=by)
    swept = ablate_heads(model, images, target, reference=reference, max_batch=7)
    expected = one_by_one(model, images, target, reference)
    np.testing.assert_allclose(swept["effect"], expected, rtol=0, atol=1e-10)


def test_the_size_of_a_batch_changes_nothing():
    model, images = random_model(), random_images()
    few = ablate_heads(model, images, 0, max_batch=1)["effect"]
    np.testing.assert_allclose(few, ablate_heads(model, images, 0)["effect"], rtol=0, atol=1e-12)


def test_it_says_whose_mean_it_used():
    model, images = random_model(), random_images(1)
    assert "this image's own tokens" in ablate_heads(model, images, 0).attrs["reference"]
    model.means = means(model, random_images(4), "blocks.*.attn.hook_z", description="training set")
    assert ablate_heads(model, images, 0).attrs["reference"] == "training set"


def test_it_runs_under_the_hooks_that_are_there():
    model, images = random_model(), random_images()
    reference = means(model, random_images(5, seed=7), "blocks.*.attn.hook_z")
    with model.intervene(Ablate("L1M", "zero")):
        swept = ablate_heads(model, images, 0, reference=reference)["effect"]
        expected = one_by_one(model, images, model.target(0), reference)
    np.testing.assert_allclose(swept, expected, rtol=0, atol=1e-10)
