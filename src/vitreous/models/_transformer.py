"""What image and text towers share: a residual stream, a readout, and the values of a run."""

import os
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitreous._errors import HookError
from vitreous.data import ClassNames
from vitreous.hooks import (
    ActivationCache,
    HookedModule,
    HookPoint,
    Means,
    NamesFilter,
    in_range,
)
from vitreous.models._base_embedding import BaseEmbedding
from vitreous.models._block import Block
from vitreous.models._cache import TransformerCache
from vitreous.models._check import CheckReport, check
from vitreous.models._config import TransformerConfig
from vitreous.models._derivation import TransformerDerivation
from vitreous.models._names import canonical_name, component_site
from vitreous.models._norms import make_norm, normalize
from vitreous.models._points import axes_of, belongs_to_tokens, points_of_kind
from vitreous.models._pooling import Head, Pooling
from vitreous.models._positions import Layout
from vitreous.models._question import make_target
from vitreous.models._restart import Restart, names_to_store, restart_points
from vitreous.models._rotary import Rotary
from vitreous.models._saving import save_pretrained, weight_hash
from vitreous.models._span import block_range, last_watched, reached
from vitreous.models._target import Target
from vitreous.models._weights import WeightViews

ReturnType = Literal["logits", "pre_logits"]


class GlassTransformer(WeightViews, HookedModule):
    """An encoder with every intermediate value on show.

    Hook points are named as in TransformerLens (`blocks.3.attn.hook_pattern`); `hook_names()`
    lists them in forward order. Nobody pays for a point that nobody watches: the pass is fused
    attention and fused norms, and only a layer in which scores or pattern are watched computes
    them.

    Attributes:
        cfg: Shape and parts.
        layout: Where tokens are, at the configured size.
        labels: What the outputs are called; None where nobody knows.
        card: What is known of the weights: name, source, hash, accuracy.
        means: Average activations over the training data, for mean ablation.
    """

    # What it takes, in words, and what a folder of it is called in its `config.json`.
    takes: ClassVar[str]
    format: ClassVar[str]

    def __init__(
        self,
        cfg: TransformerConfig,
        embedding: BaseEmbedding,
        layout: Layout,
        rotary: Rotary | None,
    ) -> None:
        super().__init__()
        self.cfg = cfg
        self.labels: ClassNames | None = None
        self.card: dict[str, Any] = {}
        self.means: Means | None = None
        self.layout = layout
        self.embedding = embedding
        self.hook_embed = HookPoint()
        if cfg.position is not None:
            self.hook_pos_embed = HookPoint()
        self.hook_full_embed = HookPoint()
        self.ln_pre = make_norm(cfg.d_model, cfg.ln_pre)
        if cfg.ln_pre is not None:
            self.hook_ln_pre = HookPoint()
        self.rotary = rotary
        blocks = [Block(cfg, layer, self.rotary) for layer in range(cfg.n_layers)]
        self.blocks: Sequence[Block] = nn.ModuleList(blocks)  # type: ignore[assignment]
        if cfg.pooling.normalizes_tokens:
            self.ln_final = make_norm(cfg.d_model, cfg.pooling.norm)
            self.hook_ln_final = HookPoint()
            self.pooling = Pooling(cfg)
        else:  # modules stand in forward order, and hook names with them
            self.pooling = Pooling(cfg)
            self.ln_final = make_norm(cfg.d_pooled, cfg.pooling.norm)
            self.hook_ln_final = HookPoint()
        self.head = Head(cfg)
        self.hook_post_head_pre_normalize = HookPoint()
        self.setup_hooks(canonical_name(cfg.n_layers), component_site(cfg.n_layers))
        self._readout_points = self._points_from(cfg.n_layers)
        self._end_points = self._points_from(cfg.n_layers - 1)

    # ---- what a tower says of its inputs

    @abstractmethod
    def layout_for(self, inputs: Tensor) -> Layout:
        """Where tokens are in a pass on these inputs."""

    @abstractmethod
    def layout_of_stream(self, resid: Float[Tensor, "batch tokens d_model"]) -> Layout:
        """The layout of a stream, which tells less than what it came from."""

    @abstractmethod
    def layout_from_json(self, plain: dict[str, Any]) -> Layout:
        """The layout of a saved run."""

    @abstractmethod
    def random_inputs(self, count: int, generator: torch.Generator) -> Tensor:
        """Inputs that mean nothing, for checks."""

    @abstractmethod
    def like(self, cfg: Any) -> Self:
        """An untrained model of another configuration, that takes the same inputs."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Plain values from which `described` makes this model again, but for its weights."""

    @classmethod
    @abstractmethod
    def described(cls, about: dict[str, Any]) -> Self:
        """An untrained model of what `describe` gave."""

    @property
    def n_outputs(self) -> int:
        """Logits, or entries of the features that come out where there is no head."""
        return self.cfg.d_pooled if self.cfg.n_classes is None else self.cfg.n_classes

    @property
    def placement(self) -> Tensor:
        """A parameter, whose device and dtype are those of the model."""
        return next(self.parameters())

    # ---- the pass

    def forward(
        self,
        x: Tensor,
        *,
        return_type: ReturnType | None = "logits",
        start_at_layer: int | None = None,
        stop_at_layer: int | None = None,
        layout: Layout | None = None,
    ) -> Tensor | None:
        """Runs the model, or a stretch of its blocks.

        Args:
            x: Preprocessed images `[batch channels rows columns]` or token ids `[batch tokens]`;
                with `start_at_layer`, the residual stream `[batch tokens d_model]` that enters
                that block.
            return_type: `"logits"`; `"pre_logits"`, the pooled features that the head reads; or
                None, to run just as far as somebody watches, and return None.
            start_at_layer: The first block to run; `n_layers` runs the readout alone.
            stop_at_layer: The block not to run any more; the stream that would enter it is
                returned, whatever `return_type` says. Negative ones count from the end.
            layout: With `start_at_layer`, where the tokens of the stream are: what
                `layout_for(inputs)` says of the inputs that it came from. None means the
                configured size, or nobody knows where the stream has another number of tokens.

        Returns:
            Logits `[batch labels]` (`[batch tokens labels]` without pooling), or what was asked
            for.
        """
        if return_type not in ("logits", "pre_logits", None):
            raise ValueError(
                f"`return_type` must be 'logits', 'pre_logits' or None; got {return_type!r}. "
                "Pass one of them."
            )
        first, last = block_range(self.cfg.n_layers, start_at_layer, stop_at_layer)
        stops_early = (
            stop_at_layer is None and return_type is None and not self._readout_is_watched()
        )
        if stops_early:
            last = last_watched(self.hook_dict.values(), first)
        where = self.layout_of_run(x, start_at_layer=start_at_layer, layout=layout)
        resid = self.embed(x, where) if start_at_layer is None else x
        for block in self.blocks[first:last]:
            resid = block(resid, where.hidden)
        if stop_at_layer is not None:
            return resid
        if stops_early:
            return None
        return self._returned(resid, where, return_type)

    def restart(
        self,
        cache: TransformerCache,
        name: object,
        values: Tensor,
        *,
        return_type: Literal["logits", "pre_logits"] = "logits",
    ) -> Tensor:
        """Continues a recorded run from a point inside a block, with other values there.

        Equal to a whole pass in which a hook puts `values` at the point, and cheaper: what lies in
        front of the point or beside it is the recorded run's, and where the readout reads the
        first tokens alone and nobody hooks the last block or the readout, that block computes
        these alone. Hooks in front of the point, beside it and at it don't fire again: their work
        is in the run. Hooks behind it do.

        Args:
            cache: A run of this model, recorded under the hooks that are meant to hold in front
                of the point. It must hold, or derive, what lies in front.
            name: The point, by name or shorthand: of a block `hook_resid_pre`, `attn.hook_q`,
                `hook_k`, `hook_v`, `hook_attn_scores`, `hook_pattern` or `hook_z`,
                `hook_attn_out`, `hook_resid_mid`, `mlp.hook_post`, `hook_mlp_out` or
                `hook_resid_post`; of attention divided over time and space all of both.
            values: What leaves the point. Several patches may stand one after the other along the
                batch, each a batch of the run's images.
            return_type: As in `forward`.

        Returns:
            Logits `[batch labels]`, one row for each of `values`.

        Raises:
            ValueError: A point at which no run can restart, or values of another shape.
            HookError: The weights have changed since the run, or the run lacks a value.
        """
        return self.as_a_pass(self._restarted, cache, self.names.one(name), values, return_type)

    def _restarted(
        self, cache: TransformerCache, name: str, values: Tensor, return_type: ReturnType
    ) -> Tensor:
        is_seen = any(point.watched for point in self._end_points)
        first = None if is_seen else self.pooling.n_first
        restart = Restart(self, cache, name, values, first)
        output = self._returned(restart.last_stream(), restart.layout, return_type)
        assert output is not None
        return output

    def can_restart(self, name: object) -> bool:
        """Whether a run can go on from a point."""
        return self.names.one(name) in restart_points(self)

    def restart_names(self, name: object) -> list[str]:
        """The points that a run has to store so that it can restart at this one, and derive it."""
        return names_to_store(self, self.names.one(name))

    def is_hooked_from(self, layer: int) -> bool:
        """Whether somebody watches a point in this block or behind it."""
        return any(point.watched for point in self._points_from(layer))

    def _points_from(self, layer: int) -> list[HookPoint]:
        names = reached(self.hook_names(), self.cfg.n_layers, start_at_layer=layer)
        return [self.hook_dict[each] for each in names]

    def embed(
        self, inputs: Tensor, layout: Layout | None = None
    ) -> Float[Tensor, "batch tokens d_model"]:
        """The residual stream `[batch tokens d_model]` that enters the first block.

        Args:
            inputs: What the model takes.
            layout: What `layout_for(inputs)` says, where that is known.
        """
        layout = layout or self.layout_for(inputs)
        resid = self.hook_embed(self.embedding(inputs))
        pos = self.embedding.positions(layout)
        if pos is not None:
            resid = resid + self.hook_pos_embed(pos.expand(len(inputs), -1, -1))
        resid = self.hook_full_embed(resid)
        return resid if self.ln_pre is None else self.hook_ln_pre(self.ln_pre(resid))

    def read(
        self, resid: Float[Tensor, "batch tokens d_model"], layout: Layout | None = None
    ) -> list[Tensor]:
        """The pooled features, one per head, from the last residual stream.

        Args:
            resid: That stream.
            layout: Where its tokens are; None means what the stream itself tells.
        """
        layout = layout or self.layout_of_stream(resid)
        if self.cfg.pooling.normalizes_tokens:
            resid = self.hook_ln_final(normalize(self.ln_final, resid))
            return self.pooling(resid, layout)
        pooled = torch.stack(self.pooling(resid, layout), 1)
        pooled = self.hook_ln_final(normalize(self.ln_final, pooled))
        return list(pooled.unbind(1))

    def layout_of_run(
        self, x: Tensor, *, start_at_layer: int | None = None, layout: Layout | None = None
    ) -> Layout:
        """Where tokens are in a pass with these arguments."""
        if start_at_layer is None:
            if layout is not None:
                raise ValueError(
                    f"`layout` must come with `start_at_layer`: {self.takes} have their own; got "
                    "it without. Leave it out."
                )
            return self.layout_for(x)
        self._require_stream(x, layout)
        return layout or self.layout_of_stream(x)

    def _require_stream(self, x: Tensor, layout: Layout | None) -> None:
        if x.ndim != 3 or x.shape[-1] != self.cfg.d_model:
            raise ValueError(
                f"With `start_at_layer`, the input must be a residual stream [batch, tokens, "
                f"{self.cfg.d_model}]; got shape {list(x.shape)}. Drop `start_at_layer` for "
                f"{self.takes}."
            )
        if layout is not None and layout.n_tokens != x.shape[1]:
            raise ValueError(
                f"`layout` must have the {x.shape[1]} tokens of the stream; got one of "
                f"{layout.n_tokens}. Pass `model.layout_for` of the {self.takes} it came from."
            )

    def _returned(
        self, resid: Tensor, layout: Layout, return_type: ReturnType | None
    ) -> Tensor | None:
        pooled = self.read(resid, layout)
        logits = None
        if return_type != "pre_logits" or self.hook_post_head_pre_normalize.watched:
            logits = self.hook_post_head_pre_normalize(self.head(pooled))
        if return_type == "pre_logits":
            return pooled[0] if len(pooled) == 1 else (pooled[0] + pooled[1]) / 2
        return logits if return_type == "logits" else None

    # ---- what a run stores, and how the rest derives from it

    def run_with_cache(
        self, *args: Any, names_filter: NamesFilter = None, **keywords: Any
    ) -> tuple[Any, TransformerCache]:
        """One forward pass, and the values inside it; see `HookedModule.run_with_cache`.

        With `return_type=None` the pass stops after the last layer that anybody watches, and the
        first element is None.
        """
        wants_gradient = keywords.get("incl_bwd", False) is not False
        wants_nothing = keywords.get("return_type", "logits") is None
        if wants_gradient and wants_nothing:  # a metric needs logits all the same
            keywords.pop("return_type")
        output, cache = super().run_with_cache(*args, names_filter=names_filter, **keywords)
        return (None if wants_nothing else output), cache  # type: ignore[return-value]

    def stored_names(self, wanted: NamesFilter, selected: Sequence[str]) -> Sequence[str]:
        if wanted is not None:
            return selected
        # A pass through the readout alone has none of the basis.
        return TransformerDerivation.basis(selected) or selected

    def reached_names(self, names: Sequence[str], **forward: Any) -> list[str]:
        return reached(
            names,
            self.cfg.n_layers,
            forward.get("start_at_layer"),
            forward.get("stop_at_layer"),
        )

    def _readout_is_watched(self) -> bool:
        return any(p.watched for p in self._readout_points)

    def make_cache(
        self,
        values: dict[str, Tensor],
        keys: Sequence[str],
        edited: frozenset[str],
        *args: Any,
        **forward: Any,
    ) -> TransformerCache:
        x = args[0] if args else forward["x"]
        layout = self.layout_of_run(
            x, start_at_layer=forward.get("start_at_layer"), layout=forward.get("layout")
        )
        derivation = TransformerDerivation(self, layout, edited)
        return TransformerCache(values, keys, self.names, derivation, edited=edited, model=self)

    def load_cache(self, path: str | os.PathLike[str]) -> TransformerCache:
        """The cache that a run of this model saved with `cache.save(path)`.

        Raises:
            HookError: The run had other weights.
        """
        saved = ActivationCache.load(path, self.names)
        weights = saved.about.get("weights")
        if weights != weight_hash(self):
            raise HookError(
                f"`{os.fspath(path)}` must come from a run with these weights, "
                f"{weight_hash(self)}; it says {weights}. Load the model that was run, or use "
                "`ActivationCache.load` for the stored values alone."
            )
        edited = saved.about["edited"]
        layout = self.layout_from_json(saved.about["layout"])
        return TransformerCache(
            dict(saved.items()),
            list(saved),
            self.names,
            TransformerDerivation(self, layout, edited),
            saved.has_batch_dim,
            edited=frozenset(edited),
            model=self,
        )

    def axes(self, name: str) -> tuple[str, ...]:
        """What the dimensions of the tensor at a hook point count."""
        return axes_of(name, self.cfg.pooling)

    def select_positions(self, positions: Any, n_tokens: int) -> list[int]:
        if n_tokens != self.layout.n_tokens and n_tokens != 1:
            shape = (1, n_tokens, self.cfg.d_model)
            return self.layout_of_stream(self.placement.new_empty(shape)).select(positions)
        return self.layout.resolve(positions, n_tokens)

    def points_of(
        self, kind: str, layers: int | Sequence[int] | None = None, *, of_tokens: bool = False
    ) -> list[str]:
        chosen = None if layers is None else in_range(layers, self.cfg.n_layers, "layers")
        found = points_of_kind(self.hook_dict, kind, chosen)
        if kind == "pooling scores" and not found:
            raise ValueError(
                "queries='pooling' needs a model that is read by attention pooling; got pooling "
                f"{self.cfg.pooling.kind!r}. Name tokens as queries."
            )
        pooling = self.cfg.pooling
        return [name for name in found if not of_tokens or belongs_to_tokens(name, pooling)]

    # ---- what is explained, checked and saved

    def target(self, what: Any, minus: Any = None, *, name: str | None = None) -> Target:
        """What is being explained; see `Target`.

        Args:
            what: A class name or index; a tuple of them, a group (mean logit); a list, one per
                image; a vector over the outputs; a function `logits -> [images]`; or a `Target`.
            minus: What to subtract, in the same forms.
            name: How reports call it.
        """
        return make_target(self, what, minus, name)

    def check(
        self, inputs: Tensor | None = None, *, source: nn.Module | None = None
    ) -> CheckReport:
        """Runs the identities of a residual-stream model on this one; print the result.

        Args:
            inputs: Two or more of what the model takes; None draws random ones.
            source: The module of a source library that this model was converted from. Then each
                value that both show is compared too, in float64 and in float32. Check first and
                process then: `center_writing_weights` and the like give other values inside by
                design.
        """
        return check(self, inputs, source)

    def save_pretrained(self, folder: Any, dtype: torch.dtype | None = None) -> None:
        """Writes `config.json`, `model.safetensors` and, with means, `means.safetensors`."""
        save_pretrained(self, folder, dtype)
