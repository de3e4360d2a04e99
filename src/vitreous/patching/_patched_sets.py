"""Many sets of heads, each patched from one run of a pair into the other, in few passes."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous._errors import HookError
from vitreous.hooks import HookPoint
from vitreous.models import Pairs, within_memory
from vitreous.patching._runs import Direction, sides


@dataclass(frozen=True)
class PatchedSets:
    """The two runs of each pair, from which any set of heads is patched.

    A set is a row of `[layers, heads, positions]`; with one position, a head is patched at all
    tokens.

    Attributes:
        pairs: Whose runs.
        resid: The stream of the base run that enters each block, `[layers batch tokens d_model]`.
        given: What each head says in the other run, `[layers batch tokens heads d_head]`.
        max_batch: The most rows that run at once.
    """

    pairs: Pairs
    resid: Float[Tensor, "layers batch tokens d_model"]
    given: Float[Tensor, "layers batch tokens heads d_head"]
    max_batch: int

    @classmethod
    @torch.no_grad()
    def of(cls, pairs: Pairs, direction: Direction, max_batch: int) -> "PatchedSets":
        """Records both runs.

        Raises:
            HookError: The model has active hooks, whose values would meet rows of other images.
        """
        _require_unhooked(pairs)
        model, n_layers = pairs.model, pairs.model.cfg.n_layers
        half, source = sides(direction)
        base, other = getattr(pairs, half), getattr(pairs, source)
        with within_memory(len(base)):
            # One point each: the stream to start from, and what is patched.
            _, ours = model.run_with_cache(
                base, names_filter="blocks.*.hook_resid_pre", return_type=None
            )
            _, theirs = model.run_with_cache(
                other, names_filter="blocks.*.attn.hook_z", return_type=None
            )
        resid = torch.stack([ours["resid_pre", layer] for layer in range(n_layers)])
        given = torch.stack([theirs["z", layer] for layer in range(n_layers)])
        return cls(pairs, resid, given, max_batch)

    @torch.no_grad()
    def logits(
        self,
        rows: Int[Tensor, " sets"],
        patched: Bool[Tensor, "sets layers heads positions"],
    ) -> Float[Tensor, "sets labels"]:
        """The output of each patched run.

        Args:
            rows: The pair that each set is patched in.
            patched: Which heads, where.
        """
        first = _first_layer(patched)
        order = first.argsort(stable=True)
        outputs = [
            self._run(rows[some], patched[some], int(first[some[0]]))
            for some in order.split(self.max_batch)
        ]
        return torch.cat(outputs)[order.argsort()]

    def _run(self, rows: Tensor, patched: Tensor, start: int) -> Float[Tensor, "sets labels"]:
        """Rows that are the base run's in front of layer `start`."""
        model, device = self.pairs.model, self.resid.device
        rows, patched = rows.to(device), patched.to(device)

        def edit(z: Tensor, hook: HookPoint) -> Tensor:
            layer = hook.layer()
            chosen = patched[:, layer].transpose(1, 2)[..., None]
            return torch.where(chosen, self.given[layer, rows], z)

        layers = sorted({int(i) for i in patched.any(-1).any(-1).any(0).nonzero()})
        hooks = [(f"blocks.{layer}.attn.hook_z", edit) for layer in layers]
        with within_memory(len(rows)):
            return model.run_with_hooks(
                self.resid[start, rows],
                fwd_hooks=hooks,
                start_at_layer=start,
                layout=model.layout_for(self.pairs.clean),
            )


def _first_layer(patched: Bool[Tensor, "sets layers heads positions"]) -> Int[Tensor, " sets"]:
    """The lowest layer in which something is patched; the last one where nothing is."""
    touched = patched.any(-1).any(-1)
    last = touched.shape[1] - 1
    return torch.where(touched.any(1), touched.int().argmax(1), last)


def _require_unhooked(pairs: Pairs) -> None:
    hooked = [name for name, point in pairs.model.hook_dict.items() if point.fwd_hooks]
    if hooked:
        raise HookError(
            "Many patched runs share a batch here, so the model must have no active hooks; got "
            f"some on `{hooked[0]}`. Leave the `with` block, or call `model.reset_hooks()`."
        )
