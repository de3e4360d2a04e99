"""A model with its optimizer, on the devices that Accelerate finds."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitreous._optional import needs
from vitreous.data import Batch
from vitreous.training._losses import Loss
from vitreous.training._plan import Plan


class Trainer:
    """Takes steps, and gives and takes up all that they depend on."""

    def __init__(self, model: nn.Module, plan: Plan, loss: Loss) -> None:
        self.accelerator = new_accelerator()
        self.loss, self.max_norm, self.plain_model = loss, plan.max_gradient_norm, model
        optimizer = torch.optim.AdamW(
            model.parameters(), plan.learning_rate, weight_decay=plan.weight_decay
        )
        self.model, self.optimizer = self.accelerator.prepare(model.train(), optimizer)

    def step(self, batch: Batch, learning_rate: float) -> Float[Tensor, ""]:
        """Learns from a batch and returns the loss before, averaged over all processes."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        loss = self.loss(self.model, _moved(batch, self.accelerator.device))
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.max_norm)
        self.optimizer.step()
        return self.accelerator.reduce(loss.detach(), "mean")

    def tensors(self) -> dict[str, Tensor]:
        """Weights, moments of the optimizer, and the chance of every process.

        All processes must ask together.
        """
        weights = {f"model.{name}": value for name, value in self.plain_model.state_dict().items()}
        moments = {
            f"optimizer.{index}.{name}": value
            for index, state in self.optimizer.state_dict()["state"].items()
            for name, value in state.items()
        }
        everything = weights | moments | self._chance()
        return {name: value.detach().cpu().clone() for name, value in everything.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes up what `tensors` gave."""
        weights = _below("model.", tensors)
        self.plain_model.load_state_dict(weights)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer.", tensors).items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value.clone()
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self._take_up_chance(_below("chance.", tensors))

    def _chance(self) -> dict[str, Tensor]:
        device = self.accelerator.device
        states = {"cpu": torch.get_rng_state()}
        if device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(device)
        return {
            f"chance.{kind}": self.accelerator.gather(state[None].to(device))
            for kind, state in states.items()
        }

    def _take_up_chance(self, states: dict[str, Tensor]) -> None:
        mine = {kind: state[self.accelerator.process_index] for kind, state in states.items()}
        torch.set_rng_state(mine["cpu"].clone())
        if "cuda" in mine:
            torch.cuda.set_rng_state(mine["cuda"].clone(), self.accelerator.device)


def new_accelerator() -> Any:
    """An accelerator that `Trainer` can save and take up whole.

    Raises:
        MissingDependencyError: Accelerate isn't installed.
        ValueError: It is configured for a kind of training that isn't supported.
    """
    accelerator = needs("accelerate", extra="ml", feature="fit()").Accelerator()
    kind = accelerator.distributed_type.value
    if not re.fullmatch("NO|MULTI_[A-Z]+", kind):
        raise ValueError(
            f"Processes must hold the whole model; got Accelerate's {kind}. "
            "Run `accelerate launch --multi_gpu`."
        )
    if accelerator.mixed_precision not in ("no", "bf16"):
        raise ValueError(
            "Mixed precision must be 'no' or 'bf16'; got "
            f"'{accelerator.mixed_precision}'. Run `accelerate launch --mixed_precision bf16`."
        )
    if accelerator.gradient_accumulation_steps != 1:
        raise ValueError(
            "Gradients must be applied at every step; got Accelerate's "
            f"{accelerator.gradient_accumulation_steps} accumulation steps. "
            "Leave that option out and choose the `batch_size`."
        )
    return accelerator


def is_main_process() -> bool:
    """Whether this is the process that writes and speaks; there may be no other."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


@contextmanager
def entered_by_main(accelerator: Any, context: AbstractContextManager[Any]) -> Iterator[None]:
    """Enters a context in the main process alone; an OSError from it is raised in all of them."""
    share = needs("accelerate.utils", extra="ml", feature="fit()").broadcast_object_list
    with ExitStack() as stack:
        refusal = None
        try:
            if accelerator.is_main_process:
                stack.enter_context(context)
        except OSError as error:
            refusal = error
        [refusal] = share([refusal])
        if refusal is not None:
            raise refusal
        yield


def require_seed(seed: int) -> None:
    """Raises for what torch can't begin from, in any process of several."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 63:
        raise ValueError(
            f"`seed` must be a whole number in 0..{(1 << 63) - 1}; got {seed!r}. Choose another."
        )


@contextmanager
def seeded(accelerator: Any, seed: int) -> Iterator[None]:
    """Gives torch's own chance (dropout, for one) a seed in every process, and back at the end."""
    device = accelerator.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed + accelerator.process_index)
        yield


def _moved(batch: Batch, device: torch.device) -> Batch:
    maps = {"labels": batch.labels, "masks": batch.masks}
    there = {name: None if each is None else each.to(device) for name, each in maps.items()}
    return replace(batch, pixels=batch.pixels.to(device), **there)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
