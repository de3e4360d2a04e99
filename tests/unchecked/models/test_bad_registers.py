"""What comes of registers that can't be put in, or taken out."""

import re

import pytest
import torch

from tests.tiny import random_model
from vitreous.models import with_registers, without_registers

MODEL = random_model(n_registers=2)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (lambda: with_registers(MODEL, 0), "`count` must be one or more; got 0."),
        (lambda: with_registers(MODEL, True), "`count` must be one or more; got True."),
        (lambda: with_registers(MODEL, 1.5), "`count` must be one or more; got 1.5."),
        (
            lambda: with_registers(MODEL, 3, torch.zeros(2, 16)),
            "`init` must be 3 vectors of width 16, or one for all; got shape [2, 16].",
        ),
        (lambda: with_registers(MODEL, 1, torch.zeros(8)), "got shape [8]."),
        (
            lambda: with_registers(MODEL, 1, "ones"),
            "`init` must be 'zeros', 'mean' or vectors; got 'ones'.",
        ),
        (
            lambda: with_registers(random_model(), 1, "mean"),
            "init='mean' needs registers to take the mean of; got a model without.",
        ),
        (lambda: without_registers(MODEL, 2), "`which` must lie in 0..1; got [2]."),
        (lambda: without_registers(MODEL, []), "`which` must lie in 0..1; got no index at all."),
        (
            lambda: without_registers(random_model()),
            "`without_registers` needs a model with registers; got one without.",
        ),
    ],
)
def test_it_is_said_in_one_line(action, says):
    with pytest.raises(ValueError, match=re.escape(says)) as raised:
        action()
    message = str(raised.value)
    assert "\n" not in message and message.endswith(".")
