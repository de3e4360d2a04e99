"""What training says to input that it can't take."""

import re
from dataclasses import replace

import pytest
import torch

from tests.tiny import images_of, random_model
from vitreous.data import Batch
from vitreous.terrarium import mark_task
from vitreous.training import (
    RECIPES,
    InterchangeLoss,
    Plan,
    RunFolder,
    cross_entropy_with_patches,
    fit,
    new_model,
    train,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": None}, "A plan must have either `epochs` or `steps`; got None and None."),
        ({"epochs": 2}, "A plan must have either `epochs` or `steps`; got 2 and 3."),
        ({"steps": 0}, "A plan must have either `epochs` or `steps`; got None and 0."),
        ({"steps": 2.5}, "A plan must have either `epochs` or `steps`; got None and 2.5."),
        ({"steps": True}, "A plan must have either `epochs` or `steps`; got None and True."),
        ({"batch_size": 0}, "`batch_size` must be a whole number from 1 on; got 0."),
        ({"batch_size": 2.0}, "`batch_size` must be a whole number from 1 on; got 2.0."),
        ({"learning_rate": NAN}, "`learning_rate` must be positive; got nan."),
        ({"learning_rate": -1e-3}, "`learning_rate` must be positive; got -0.001."),
        ({"learning_rate": float("inf")}, "`learning_rate` must be positive; got inf."),
        ({"learning_rate": "fast"}, "`learning_rate` must be positive; got 'fast'."),
        ({"warmup": 1.5}, "`warmup` must be a part, in 0..1; got 1.5."),
        ({"weight_decay": NAN}, "`weight_decay` must be 0 or more; got nan."),
        ({"max_gradient_norm": 0}, "`max_gradient_norm` must be positive; `inf` shortens none"),
    ],
)  # fmt: skip
def test_a_plan_that_can_not_be(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Plan(**{"steps": 3, "batch_size": 2, "learning_rate": 1e-3} | changes)


@pytest.mark.parametrize("every", [0, -1, 1.5, None, True, NAN], ids=repr)
def test_states_are_kept_every_so_many_steps(tmp_path, every):
    with pytest.raises(ValueError, match="`every` must be a whole number of steps, 1 or more; got"):
        RunFolder(tmp_path, every=every)


@pytest.mark.parametrize("seed", [-1, 1 << 63, 0.5, NAN, None, "0", True], ids=repr)
def test_a_seed_that_can_not_be(tmp_path, seed):
    recipe = RECIPES["digits"]
    for start in (
        lambda: train(recipe, seed=seed, folder=RunFolder(tmp_path / "model")),
        lambda: new_model(recipe, seed),
        lambda: fit(new_model(recipe, 0), recipe.images("test"), recipe.plan, seed=seed),
    ):
        with pytest.raises(ValueError, match="`seed` must be a whole number in 0"):
            start()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["labels", "masks"])
def test_questions_to_patches_need_labels_and_label_maps(missing):
    model = random_model()
    labels, masks = torch.zeros(2, dtype=torch.long), torch.zeros(2, 12, 8, dtype=torch.long)
    whole = Batch(torch.arange(2), images_of(model), labels, masks)
    with pytest.raises(ValueError, match="must have labels and label maps to train on; got no"):
        cross_entropy_with_patches(model, replace(whole, **{missing: None}))


def test_interchange_training_needs_labels_and_label_maps():
    task = mark_task("cued")
    batch, loss = task.images("test", 2)[:2], InterchangeLoss(task.causal)
    model = new_model(RECIPES["circuit-cued"], 0)
    with pytest.raises(ValueError, match="`images` must have labels to train on; got none"):
        loss(model, replace(batch, labels=None))
    with pytest.raises(ValueError, match="`images` must have label maps, the symbols of a task"):
        loss(model, replace(batch, masks=None))
