"""The curve is the sum of shares with the means of some in their place."""

import numpy as np
import pytest
import torch

from tests.decomposition.zero_shot import random_classifier
from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.data import Images
from vitreous.decomposition import direct_logit_shares, mean_ablation_curve, shares_grid


@pytest.mark.parametrize("of", ["attn", "mlp"])
@pytest.mark.parametrize("readout", READOUTS)
def test_each_point_exchanges_the_shares_up_to_a_layer_for_their_means(readout, of):
    model = random_model(**READOUTS[readout])
    if of == "mlp" and model.cfg.attn_only:
        return
    images = images_of(model, 5)
    curve = mean_ablation_curve(model, images, 3, of=of)["value"]
    shares = direct_logit_shares(model, images, 3)
    kinds = [of] if of == "mlp" else ["attn", "attn_time"]
    said = sum(shares_grid(shares, kind) for kind in kinds if kind in shares["kind"])
    logits = model(images)[:, 3].detach().numpy()
    np.testing.assert_allclose(curve.sel(layer=-1), logits, rtol=1e-12)
    for layer in range(3):
        gone = (said - said.mean("image")).sel(layer=slice(0, layer)).sum("layer")
        np.testing.assert_allclose(curve.sel(layer=layer), logits - gone, rtol=1e-9, atol=1e-9)


def test_accuracy_counts_what_the_changed_logits_put_first():
    model, images = random_model(), random_images(20)
    labels = torch.arange(20) % 5
    curve = mean_ablation_curve(model, images, labels=labels)
    outputs = [mean_ablation_curve(model, images, k)["value"].values for k in range(5)]
    expected = np.stack(outputs, -1).argmax(-1) == labels.numpy()[:, None]
    np.testing.assert_array_equal(curve["correct"], expected)
    np.testing.assert_allclose(curve["accuracy"], expected.mean(0))
    own = (model(images).argmax(-1) == labels).double().mean()
    assert curve["accuracy"].sel(layer=-1) == own


def test_images_that_stream_with_their_labels_give_the_same_curve():
    model, images, labels = random_model(), random_images(7), torch.arange(7) % 5
    streamed = mean_ablation_curve(model, Images.from_tensor(images, labels, batch_size=3), 1)
    at_once = mean_ablation_curve(model, images, 1, labels=labels)
    np.testing.assert_allclose(streamed["value"], at_once["value"], rtol=1e-11)
    np.testing.assert_array_equal(streamed["correct"], at_once["correct"])


def test_the_mean_may_be_that_of_other_images():
    model, images, others = random_model(), random_images(4), random_images(9, seed=3)
    curve = mean_ablation_curve(model, images, 2, reference=others)["value"]
    said, mean = (shares_grid(direct_logit_shares(model, x, 2), "attn") for x in (images, others))
    gone = said.sum("layer") - mean.mean("image").sum("layer")
    logits = model(images)[:, 2].detach().numpy()
    np.testing.assert_allclose(curve.sel(layer=2), logits - gone, rtol=1e-10)


def test_layers_of_a_zero_shot_classifier_are_exchanged_in_the_embedding():
    classifier, images = random_classifier(), random_images(6)
    curve = mean_ablation_curve(classifier, images, "bird", labels=[0, 1, 2, 3, 0, 1])
    own = classifier(images)
    np.testing.assert_allclose(curve["value"].sel(layer=-1), own[:, 2].detach(), rtol=1e-12)
    right = own.argmax(-1) == torch.tensor([0, 1, 2, 3, 0, 1])
    np.testing.assert_array_equal(curve["correct"].sel(layer=-1), right)
    model, said = classifier.image, 0
    for output in range(6):
        shares = shares_grid(direct_logit_shares(model, images, output), "attn").sum("layer")
        unit = torch.eye(6, dtype=torch.float64)[output]
        said = said + torch.from_numpy((shares - shares.mean("image")).values)[:, None] * unit
    expected = classifier.logits(model(images) - said)[:, 2].detach()
    np.testing.assert_allclose(curve["value"].sel(layer=2), expected, rtol=1e-9)
