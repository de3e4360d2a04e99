"""What terms of the stream say in the outputs is what a target's readout says of them."""

import pytest
import torch

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.models import OutputReading, output_points


def rows_of(cache, reading):
    rows = cache.layer_rows(positions=reading.tokens)
    return torch.stack(list(rows.values()), 2)


@pytest.mark.parametrize("readout", READOUTS)
def test_each_output_of_each_term_is_what_the_readout_of_that_output_says(readout):
    model = random_model(**READOUTS[readout])
    _, cache = model.run_with_cache(images_of(model))
    reading = OutputReading(cache)
    rows = rows_of(cache, reading)
    said = reading(rows)
    assert said.shape == (2, rows.shape[2], 5)
    for output in range(5):
        weights = model.target(output).readout(cache).weights[:, reading.tokens]
        expected = (rows * weights[:, :, None]).sum((1, 3))
        torch.testing.assert_close(said[..., output], expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("readout", READOUTS)
def test_the_terms_and_the_constants_add_up_to_the_outputs(readout):
    model = random_model(**READOUTS[readout])
    logits, cache = model.run_with_cache(images_of(model))
    reading = OutputReading(cache)
    constants = [model.target(output).readout(cache).constant for output in range(5)]
    total = reading(rows_of(cache, reading)).sum(1) + torch.stack(constants, 1)
    torch.testing.assert_close(total, logits, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("readout", [name for name in READOUTS if name != "distillation"])
def test_features_through_the_head_are_outputs(readout):
    model = random_model(**READOUTS[readout])
    _, cache = model.run_with_cache(images_of(model))
    features = OutputReading(cache, behind_head=False)
    rows = rows_of(cache, features)
    through = features(rows) @ model.W_U
    torch.testing.assert_close(through, OutputReading(cache)(rows), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("readout", READOUTS)
def test_a_run_that_holds_the_listed_points_alone_is_enough(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    names = [*output_points(model), "blocks.2.hook_attn_out"]
    _, cache = model.run_with_cache(images, names_filter=names)
    _, whole = model.run_with_cache(images)
    rows = cache.at("blocks.2.hook_attn_out", "readout")
    torch.testing.assert_close(OutputReading(cache)(rows), OutputReading(whole)(rows))


def test_a_model_without_a_head_gives_its_features():
    model = random_model(n_classes=None)
    _, cache = model.run_with_cache(random_images())
    reading = OutputReading(cache)
    assert reading(rows_of(cache, reading)).shape[-1] == 16
