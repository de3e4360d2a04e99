"""Hooks, cached runs and interventions, for any module that has hook points."""

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from vitreous._errors import HookError
from vitreous.hooks._cache import ActivationCache
from vitreous.hooks._hook_point import Direction, Hook, HookFunction, HookPoint
from vitreous.hooks._intervention import Intervention
from vitreous.hooks._names import HookNames, NamesFilter, no_component
from vitreous.hooks._recorder import PassRecorder
from vitreous.hooks._site import ResolvedSite, Site

HookList = Sequence[tuple[NamesFilter, HookFunction]]
Metric = Callable[[Tensor], Tensor]


class HookedModule(nn.Module):
    """A module whose activations can be read and edited by name.

    A subclass makes its hook points in forward order, calls `setup_hooks()` at the end of its
    constructor, and may refine what a run stores (`stored_names`), which points a partial run
    reaches (`reached_names`) and how a cache derives what it doesn't hold (`make_cache`).
    """

    hook_dict: dict[str, HookPoint]
    names: HookNames

    def setup_hooks(
        self,
        canonical: Callable[[object], str] = str,
        component: Callable[[str], tuple[str, dict[str, int]] | None] = no_component,
    ) -> None:
        """Finds and names the hook points; see `HookNames` for the arguments."""
        found = {n: m for n, m in self.named_modules() if isinstance(m, HookPoint)}
        for name, point in found.items():
            point.name = name
        self.hook_dict = found
        self.names = HookNames(
            list(found),
            {name for name, point in found.items() if point.on_demand},
            canonical,
            component,
        )
        self.passes = 0
        self.depth = 0  # of passes within passes: a hook may run the model

    # ---- what a model may refine

    def stored_names(self, wanted: NamesFilter, selected: Sequence[str]) -> Sequence[str]:
        """The points whose values a run stores so that all of `selected` can be read."""
        del wanted
        return selected

    def reached_names(self, names: Sequence[str], **forward: Any) -> list[str]:
        """Those of `names` that a forward pass with these keywords comes by."""
        del forward
        return list(names)

    def make_cache(
        self,
        values: dict[str, Tensor],
        keys: Sequence[str],
        edited: frozenset[str],
        *args: Any,
        **forward: Any,
    ) -> ActivationCache:
        """The cache of a run: what was stored, what to show, what hooks edited, and its inputs."""
        del edited, args, forward
        return ActivationCache(values, keys, self.names)

    def axes(self, name: str) -> tuple[str, ...] | None:
        """What the dimensions of the tensor at a point count; None when nobody knows."""
        del name
        return None

    def select_positions(self, positions: Any, n_tokens: int) -> list[int]:
        """The token indices that `positions` means."""
        raise ValueError(
            f"`positions` must be 'all' on a model without token layout; got {positions!r}. "
            "Edit the whole tensor with `Edit`."
        )

    def points_of(
        self, kind: str, layers: int | Sequence[int] | None = None, *, of_tokens: bool = False
    ) -> list[str]:
        """The hook points of a kind, such as `"scores"`, in some layers or all of the model.

        Args:
            kind: What interventions ask for: `"scores"` of the blocks' attention, `"pooling
                scores"`, `"patterns"`, `"norms"` (scales), `"mlps"` (what they write).
            layers: Blocks, negative ones from the end; None means the whole model.
            of_tokens: Whether to leave out points whose values belong to no token.
        """
        del layers, of_tokens
        raise ValueError(
            f"`{type(self).__name__}` must know its parts to tell where its {kind} are; a wrapped "
            "module doesn't. Name hook points, or convert it with `vt.from_module`."
        )

    def resolve_site(self, site: Site) -> ResolvedSite:
        """The hook point and the part of its tensor that a site means."""
        component = self.names.component(site.name)
        if component is not None:
            name, fields = component
            for field in fields:
                if getattr(site, field) is not None:
                    raise ValueError(
                        f"`{site.name}` names a {field} already; got `{field}=` too. "
                        f"Pass one of them, or the full hook name `{name}`."
                    )
            site = dataclasses.replace(site, name=name, **fields)
        name = self.names.one(site.name)
        return site.resolve(name, self.axes(name), self.select_positions)

    # ---- hooks

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.as_a_pass(super().__call__, *args, **kwargs)

    def as_a_pass(self, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls what makes values go by the hook points, and counts it as a forward pass."""
        if not torch.compiler.is_compiling():  # a count would make every pass compile anew
            self.passes += 1
        self.depth += 1
        try:
            return run(*args, **kwargs)
        finally:
            self.depth -= 1

    def hook_names(self, *, on_demand: bool = True) -> list[str]:
        """All hook names in forward order; with `on_demand=False` only those of every pass."""
        wanted = (n for n, point in self.hook_dict.items() if on_demand or not point.on_demand)
        return list(wanted)

    def add_hook(
        self,
        name: NamesFilter,
        hook: HookFunction,
        dir: Direction = "fwd",
        *,
        is_permanent: bool = False,
        prepend: bool = False,
    ) -> list[Hook]:
        """Adds `hook(tensor, point) -> tensor | None` to one point or to all that a filter means.

        Args:
            name: A name, shorthand, glob, predicate or collection of them.
            hook: Gets a private copy of the value. What it returns, or does to that copy in
                place, replaces the value; returning None after no change leaves it.
            dir: `"fwd"` for the value, `"bwd"` for the gradient with respect to it.
            is_permanent: Whether `reset_hooks()` spares it.
            prepend: Whether it runs before the hooks that are there.

        Returns:
            The hooks, each with a `remove()`.

        Raises:
            UnknownNameError: No point has that name.
        """
        points = [self.hook_dict[each] for each in self.names.select(name)]
        return [p.add_hook(hook, dir, is_permanent=is_permanent, prepend=prepend) for p in points]

    def reset_hooks(self, *, including_permanent: bool = False) -> None:
        """Removes all hooks, forward and backward; permanent ones only when told to."""
        for point in self.hook_dict.values():
            point.ctx.clear()
            for hook in (*point.fwd_hooks, *point.bwd_hooks):
                if including_permanent or not hook.is_permanent:
                    hook.remove()

    @contextmanager
    def hooks(self, fwd_hooks: HookList = (), bwd_hooks: HookList = ()) -> Iterator[Self]:
        """Hooks for the length of a `with` block; contexts nest, and exceptions leave none behind.

        Args:
            fwd_hooks: Pairs of name (or glob, ...) and `function(tensor, point)`.
            bwd_hooks: The same for gradients; `backward` has to be called inside the block.

        Raises:
            HookError: On leaving, when a pass ran and one of the hooks never fired. When no pass
                ran at all, that is a warning.
        """
        installed: list[Hook] = []
        passes = self.passes
        try:
            self._install(installed, fwd_hooks, bwd_hooks)
            yield self
        finally:
            for hook in installed:
                hook.remove()
        _complain_about_silent(installed, has_run=self.passes > passes)

    def run_with_hooks(
        self,
        *args: Any,
        fwd_hooks: HookList = (),
        bwd_hooks: HookList = (),
        **forward: Any,
    ) -> Any:
        """One forward pass with hooks; returns what the pass returns.

        Backward hooks go with the graph of this pass: they fire when `backward` is called on the
        result, and a later pass knows nothing of them.

        Raises:
            HookError: A named point lies outside the part of the model that runs, or a hook never
                fired.
        """
        fwd_hooks, bwd_hooks = _kept_pairs(fwd_hooks), _kept_pairs(bwd_hooks)
        installed: list[Hook] = []
        try:
            self._require_reached(fwd_hooks, bwd_hooks, forward)
            self._install(installed, fwd_hooks, bwd_hooks)
            output = self(*args, **forward)
        finally:
            for hook in installed:
                hook.remove()
        for hook in installed:
            hook.is_alive = hook.direction == "bwd"
        _complain_about_silent([h for h in installed if h.direction == "fwd"], has_run=True)
        return output

    @contextmanager
    def intervene(self, interventions: Intervention | Sequence[Intervention]) -> Iterator[Self]:
        """Applies interventions to every pass in a `with` block, in their order.

        Raises:
            UnknownNameError: A site that this model doesn't have.
            HookError: On leaving, when a pass ran and a site was never reached.
        """
        several = interventions if isinstance(interventions, Sequence) else [interventions]
        edits = [edit for intervention in several for edit in intervention.hooks(self)]
        with self.hooks(fwd_hooks=edits):
            yield self

    # ---- cached runs

    def run_with_cache(
        self,
        *args: Any,
        names_filter: NamesFilter = None,
        fwd_hooks: HookList = (),
        incl_bwd: Metric | bool = False,
        detach: bool = True,
        device: torch.device | str | None = None,
        remove_batch_dim: bool = False,
        **forward: Any,
    ) -> tuple[Any, ActivationCache]:
        """One forward pass, and the values inside it.

        Args:
            *args: What the model's `forward` takes.
            names_filter: What must be materialised: a name, shorthand, glob, predicate or a
                collection of them. None stores little and lets the cache derive every default
                name.
            fwd_hooks: Hooks for this pass; the cache holds what leaves them.
            incl_bwd: A metric `logits -> [images]` (or a scalar); its gradient with respect to
                each recorded value is stored as `name_grad`. True takes the output itself, which
                has to be a scalar. Nothing accumulates in parameters.
            detach: Whether the values leave the graph.
            device: Where to keep them; None leaves them where they are.
            remove_batch_dim: Whether to drop the image dimension (of a batch of one).
            **forward: Keywords of `forward`, such as `stop_at_layer` or `return_type`.

        Returns:
            What the pass returns, and its `ActivationCache`.
        """
        names_filter, fwd_hooks = _kept(names_filter), _kept_pairs(fwd_hooks)
        selected = self._selected(names_filter, forward)
        has_metric, depth = incl_bwd is not False, self.depth + 1
        stored = selected if has_metric else self.stored_names(names_filter, selected)
        recorder = PassRecorder(
            self.reached_names(stored, **forward),
            selected if has_metric else (),
            detach,
            device,
            self.copies_recorded,
            lambda: self.depth == depth,
        )
        self._require_reached(fwd_hooks, (), forward)
        if has_metric and torch.is_inference_mode_enabled():
            raise HookError(
                "`incl_bwd` needs a graph; got a pass under `torch.inference_mode()`. "
                "Run it outside of inference mode."
            )
        with torch.set_grad_enabled(has_metric or torch.is_grad_enabled()):
            with self.hooks(fwd_hooks), recorder.on(self.hook_dict):
                output = self(*args, **forward)
            if has_metric:
                recorder.values |= _gradients(recorder, output, incl_bwd)
        keys, edited = self._keys(recorder, selected), frozenset(recorder.edited)
        cache = self.make_cache(recorder.values, keys, edited, *args, **forward)
        return output, cache.remove_batch_dim() if remove_batch_dim else cache

    copies_recorded = False

    def _selected(self, names_filter: NamesFilter, forward: dict[str, Any]) -> list[str]:
        named = self.names.select(names_filter)
        reached = self.reached_names(named, **forward)
        if named and not reached:
            raise HookError(
                f"`names_filter` must name a point that this pass comes by; {named[0]!r} lies "
                "outside `start_at_layer` and `stop_at_layer`. Widen them or name another point."
            )
        _require_all_named(names_filter, self.names, reached)
        return reached

    def _keys(self, recorder: PassRecorder, selected: Sequence[str]) -> list[str]:
        gradients = [f"{name}_grad" for name in selected if f"{name}_grad" in recorder.values]
        return [*selected, *gradients]

    def _install(self, installed: list[Hook], fwd_hooks: HookList, bwd_hooks: HookList) -> None:
        for name, function in fwd_hooks:
            installed += self.add_hook(name, function, "fwd")
        for name, function in bwd_hooks:
            installed += self.add_hook(name, function, "bwd")

    def _require_reached(
        self, fwd_hooks: HookList, bwd_hooks: HookList, forward: dict[str, Any]
    ) -> None:
        for name, _ in (*fwd_hooks, *bwd_hooks):
            named = self.names.select(name)
            beyond = sorted(set(named) - set(self.reached_names(named, **forward)))
            if beyond:
                raise HookError(
                    f"A hook must stand where the pass comes by; {beyond[0]!r} lies outside "
                    "`start_at_layer` and `stop_at_layer`. Widen them or drop the hook."
                )


def _kept(wanted: NamesFilter) -> NamesFilter:
    """What can be walked through twice: an iterator would be empty the second time."""
    return list(wanted) if isinstance(wanted, Iterator) else wanted


def _kept_pairs(hooks: HookList) -> HookList:
    return [(_kept(name), function) for name, function in hooks]


def _require_all_named(wanted: NamesFilter, names: HookNames, reached: Sequence[str]) -> None:
    """A name spelled out in a filter is a request; a glob may reach past the part that runs."""
    if wanted is None or callable(wanted):
        return
    items: list[Any] = [wanted] if isinstance(wanted, str | tuple) else list(wanted)
    for item in items:
        if not set(names.select([item])) & set(reached):
            raise HookError(
                f"`names_filter` must name points that this pass comes by; {item!r} lies outside "
                "`start_at_layer` and `stop_at_layer`. Widen them or name another point."
            )


def _complain_about_silent(installed: Iterable[Hook], *, has_run: bool) -> None:
    silent = [hook for hook in installed if not hook.fired]
    if silent and has_run:
        names = ", ".join(sorted({hook.point.name for hook in silent})[:3])
        cause = (
            "no backward pass ran inside the `with`"
            if all(hook.direction == "bwd" for hook in silent)
            else "the pass didn't come by"
        )
        raise HookError(
            f"Every hook must fire in a context in which a forward pass ran; {len(silent)} never "
            f"did ({names}): {cause}. Hook a point that the pass reaches."
        )
    if silent:
        warnings.warn(
            "No forward pass ran inside this context, so none of its hooks fired.", stacklevel=4
        )


def _gradients(recorder: PassRecorder, output: Any, metric: Metric | bool) -> dict[str, Tensor]:
    if output is None:
        raise ValueError(
            "`incl_bwd` needs an output to differentiate; got `return_type=None`. "
            "Leave `return_type` at 'logits'."
        )
    value = metric(output) if callable(metric) else output
    if callable(metric) is False and value.numel() != 1:
        raise ValueError(
            f"`incl_bwd=True` needs a scalar output; got shape {list(value.shape)}. "
            "Pass a metric: `incl_bwd=lambda logits: logits[:, 3]`."
        )
    names = list(recorder.in_graph)
    sources = [recorder.in_graph[name] for name in names]
    gradients = _gradients_of(value.sum(), sources, output)
    found = zip(names, sources, gradients, strict=True)
    return {
        # A value that the metric doesn't depend on has gradient zero, which is the truth.
        f"{name}_grad": torch.zeros_like(source) if gradient is None else gradient
        for name, source, gradient in found
    }


def _gradients_of(value: Tensor, sources: Sequence[Tensor], output: Any) -> Sequence[Tensor | None]:
    if value.requires_grad:
        return torch.autograd.grad(value, sources, allow_unused=True)
    if isinstance(output, Tensor) and not output.requires_grad:
        return [None] * len(sources)  # hooks cut all that the output depends on
    raise ValueError(
        "`incl_bwd` must be differentiable; its value has no graph. Compute it with torch "
        "operations on the output, without `detach`, `item` or `argmax`."
    )
