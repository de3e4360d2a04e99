"""What is made for reading takes part in everything, and refuses every way of writing."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from vitreous._errors import HookError
from vitreous.models._read_only import ReadOnly, share_memory

OTHER = torch.arange(12.0).reshape(3, 4)


@pytest.fixture
def value() -> ReadOnly:
    return ReadOnly.of(torch.ones(3, 4), "It must be left alone.")


WRITES = {
    "an item": lambda x: x.__setitem__(0, 5.0),
    "an item of a view": lambda x: x[1].__setitem__(0, 5.0),
    "an item behind a mask": lambda x: x.__setitem__(x > 0, 5.0),
    "an operator": lambda x: x.__iadd__(1),
    "an operator on an item": lambda x: exec("x[0] *= 2", {"x": x}),
    "a method": lambda x: x.mul_(2),
    "a method of a view": lambda x: x.T[2].zero_(),
    "one of its rows": lambda x: x.unbind(0)[1].fill_(3),
    "one of its parts": lambda x: x.split(2)[0].add_(1),
    "a loop over rows": lambda x: [row.zero_() for row in x],
    "what was flattened": lambda x: x.flatten().zero_(),
    "what was detached": lambda x: x.detach().zero_(),
    "its data": lambda x: x.data.zero_(),
    "other data": lambda x: setattr(x, "data", OTHER),
    "what was not moved": lambda x: x.to(torch.float32).contiguous().zero_(),
    "the output of a function": lambda x: torch.add(OTHER, OTHER, out=x),
    "one of two outputs": lambda x: torch.max(OTHER, 0, out=(x[0], torch.zeros(4).long())),
    "a list": lambda x: torch._foreach_add_([torch.zeros(3, 4), x], 1.0),
    "an initializer": lambda x: nn.init.normal_(x),
    "a function in place": lambda x: nn.functional.relu(x, inplace=True),
    "a parameter made of it": lambda x: nn.Parameter(x, requires_grad=False).zero_(),
    "a gradient asked for": lambda x: x.requires_grad_(),
}


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_way_of_writing_raises_and_changes_nothing(value, write, mode):
    with mode(), pytest.raises(HookError, match=r"^It must be left alone\.$"):
        write(value)
    assert torch.equal(value, torch.ones(3, 4))


def test_an_array_of_it_can_not_be_written_to(value):
    for array in (value.numpy(), np.asarray(value), value[0].numpy()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


def test_what_is_computed_is_a_plain_tensor_and_may_be_written_to(value):
    results = (value + 1, value @ OTHER.T, value.sum(0), value.clone(), copy.deepcopy(value))
    for result in (*results, torch.stack([value, value]), torch.linalg.svd(value).U):
        assert type(result) is torch.Tensor
        assert not result.zero_().any()
    assert torch.equal(value, torch.ones(3, 4))


def test_it_can_be_written_to_others(value):
    other = torch.zeros(3, 4)
    other.copy_(value)
    other[0] += value[0]
    assert other.sum() == 16


def test_gradients_flow_through_it():
    weight = torch.ones(4, requires_grad=True)
    product = ReadOnly.of(weight * 3, "It must be left alone.")
    (product * product).sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [18.0] * 4


def test_memory_is_shared_by_views_alone():
    assert share_memory(OTHER, OTHER.T[1])
    assert not share_memory(OTHER, OTHER.clone())
