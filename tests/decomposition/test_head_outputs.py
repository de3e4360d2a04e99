"""What heads say in the outputs is what their shares say, one target at a time."""

import pytest
import torch

from tests.decomposition.zero_shot import random_classifier
from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.data import Images
from vitreous.decomposition import direct_logit_shares, head_outputs, shares_grid


@pytest.mark.parametrize("readout", READOUTS)
def test_each_output_of_each_head_is_its_share(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    said = head_outputs(model, images)
    assert said.shape == (2, 3, 4, 5)
    for output in range(5):
        shares = shares_grid(direct_logit_shares(model, images, output, by="head"))
        torch.testing.assert_close(
            said[..., output], torch.from_numpy(shares.values), rtol=1e-10, atol=1e-10
        )


def test_a_layer_and_a_head_are_chosen_from_all():
    model, images = random_model(), random_images()
    said = head_outputs(model, images)
    assert torch.equal(head_outputs(model, images, 1), said[:, 1])
    assert torch.equal(head_outputs(model, images, head=3), said[:, :, 3])
    assert torch.equal(head_outputs(model, images, -1, -2), said[:, 2, 2])


def test_images_that_stream_say_the_same():
    model, images = random_model(), random_images(5)
    streamed = head_outputs(model, Images.from_tensor(images, batch_size=2))
    torch.testing.assert_close(streamed, head_outputs(model, images), rtol=1e-12, atol=1e-12)


def test_features_through_the_unembeddings_are_logits():
    model, images = random_model(), random_images()
    features = head_outputs(model, images, space="features")
    torch.testing.assert_close(
        features @ model.W_U, head_outputs(model, images), rtol=1e-11, atol=1e-11
    )


def test_normalized_contributions_to_an_embedding_add_up_to_shares_of_the_similarity():
    classifier, images = random_classifier(), random_images()
    said = head_outputs(classifier, images, normalize=True) @ classifier.weights[1] * 9
    shares = direct_logit_shares(classifier.image, images, classifier.target("dog"), by="head")
    expected = torch.from_numpy(shares_grid(shares).values)
    torch.testing.assert_close(said, expected, rtol=1e-11, atol=1e-11)
