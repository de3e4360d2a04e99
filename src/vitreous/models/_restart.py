"""From a point inside a block to the end of the model, in front of it a recorded run."""

from typing import TYPE_CHECKING

from torch import Tensor

from vitreous.models._cache import TransformerCache
from vitreous.models._positions import Layout
from vitreous.models._sublayers import AttentionNames

if TYPE_CHECKING:
    from vitreous.models._transformer import GlassTransformer

_IN_ATTENTION = ("hook_q", "hook_k", "hook_v", "hook_attn_scores", "hook_pattern", "hook_z")


class Restart:
    """What is needed to go on from one point with other values.

    Args:
        model: Whose run it is.
        cache: The run.
        name: The full name of the point.
        values: What leaves it, for one or several copies of the run's batch.
        first: How many tokens the readout reads, the first ones, where the last block may leave
            out the others; None where it may not.
    """

    def __init__(
        self,
        model: "GlassTransformer",
        cache: TransformerCache,
        name: str,
        values: Tensor,
        first: int | None,
    ) -> None:
        self.model, self.cache, self.first = model, cache, first
        self.layer, self.point = _place_of(model, name)
        self.block = model.blocks[self.layer]
        cache.require_run_of(model)
        self.values, self.copies = values, _copies(cache, values, name)
        self.layout: Layout = cache._run.layout.repeated(self.copies)

    def last_stream(self) -> Tensor:
        """The stream that the readout reads; of the `first` tokens alone where there are such."""
        is_last = self.layer == self.model.cfg.n_layers - 1
        resid = self._behind_block(self.first if is_last else None)
        for block in self.model.blocks[self.layer + 1 : -1]:
            resid = block(resid, self.layout.hidden)
        if is_last:
            return resid
        last = self.model.blocks[-1]
        if self.first is None:
            return last(resid, self.layout.hidden)
        return last.from_attention(0, resid, self.layout.hidden, self.first)

    def _behind_block(self, first: int | None) -> Tensor:
        """The stream behind the block of the point."""
        block, point, values = self.block, self.point, self.values
        if point == "hook_resid_post":
            return _front(values, first)
        if point == "hook_resid_mid":
            return block.from_mid(_front(values, first))
        if point in ("mlp.hook_post", "hook_mlp_out"):
            return self._behind_mlp(first)
        place, names = next(
            (i, names)
            for i, names in enumerate(block.attentions)
            if point in (names.reads, names.adds) or point.startswith(f"{names.attn}.")
        )
        if point == names.reads:
            return block.from_attention(place, values, self.layout.hidden, first)
        return self._behind_attention(place, names, first)

    def _behind_attention(self, place: int, names: AttentionNames, first: int | None) -> Tensor:
        block, is_last = self.block, place + 1 == len(self.block.attentions)
        within = first if is_last else None
        written = self.values
        if self.point != names.adds:
            written = block.part(names.adds)(self._attended(names, within))
        resid = self._base(names.reads, within) + _front(written, within)
        if not block.parallel:
            return block.behind_attention(place, resid, self.layout.hidden, first)
        return block.hook_resid_post(resid + self._base("hook_mlp_out", first))

    def _attended(self, names: AttentionNames, first: int | None) -> Tensor:
        """What attention adds, from a point inside it."""
        attn, letter = self.block.attention(names), self.point.rsplit("_", 1)[-1]
        first = first if attn.reach is None else None  # who attends over what needs all queries
        if letter == "z":
            return attn.from_z(_front(self.values, first))
        if letter in ("scores", "pattern"):
            go_on = attn.from_pattern if letter == "pattern" else attn.from_scores
            return go_on(self.values[:, :, :first], self._base(f"{names.attn}.hook_v"))
        met = {
            each: self._base(f"{names.attn}.{attn.meeting_point(each)}")
            for each in "qkv"
            if each != letter
        }
        met[letter] = attn.meeting(letter, self.values)
        return attn.from_met(_front(met["q"], first), met["k"], met["v"], self.layout.hidden)

    def _behind_mlp(self, first: int | None) -> Tensor:
        block, written = self.block, _front(self.values, first)
        if self.point == "mlp.hook_post":
            assert block.mlp is not None
            written = block.hook_mlp_out(block.mlp.write(written))
        if not block.parallel:
            return block.hook_resid_post(self._base("hook_resid_mid", first) + written)
        names = block.attentions[-1]
        resid = self._base(names.reads, first) + self._base(names.adds, first)
        return block.hook_resid_post(resid + written)

    def _base(self, local: str, first: int | None = None) -> Tensor:
        """A value of the recorded run, once for each copy of its batch."""
        value = _front(self.cache.at(f"blocks.{self.layer}.{local}"), first)
        return value.expand(self.copies, *value.shape).flatten(0, 1)


def names_to_store(model: "GlassTransformer", name: str) -> list[str]:
    """What a run has to hold for a restart at `name`; the rest derives from it."""
    layer, point = _place_of(model, name)
    block = model.blocks[layer]
    needed = [] if point.endswith(("hook_attn_scores", "hook_pattern")) else [point]
    if point in ("mlp.hook_post", "hook_mlp_out"):
        reads = block.attentions[-1].reads, block.attentions[-1].adds
        needed += reads if block.parallel else ["hook_resid_mid"]
    for names in block.attentions:
        if point == names.adds or point.startswith(f"{names.attn}."):
            needed += [names.reads, *(["hook_mlp_out"] if block.parallel else [])]
        if point.startswith(f"{names.attn}.") and not point.endswith("_z"):
            needed += [f"{names.attn}.hook_{letter}" for letter in "qkv"]
    return [f"blocks.{layer}.{local}" for local in dict.fromkeys(needed)]


def _front(x: Tensor, first: int | None) -> Tensor:
    """The first tokens; all of them for None."""
    return x if first is None else x[:, :first]


def restart_points(model: "GlassTransformer") -> list[str]:
    """The points from which a run can go on."""
    attentions = model.blocks[0].attentions
    local = ["hook_resid_pre", *(each.reads for each in attentions)]
    local += [f"{each.attn}.{point}" for each in attentions for point in _IN_ATTENTION]
    local += [each.adds for each in attentions]
    local += ["hook_resid_mid", "mlp.hook_post", "hook_mlp_out", "hook_resid_post"]
    names = (f"blocks.{i}.{each}" for i in range(model.cfg.n_layers) for each in local)
    return [name for name in dict.fromkeys(names) if name in model.hook_dict]


def _place_of(model: "GlassTransformer", name: str) -> tuple[int, str]:
    """The block of a point, and its name in there."""
    if name not in restart_points(model):
        there = dict.fromkeys(each.split(".", 2)[2] for each in restart_points(model))
        raise ValueError(
            f"A run must restart in a block, at {', '.join(there)}; got `{name}`. Choose one of "
            "these, or run the model with a hook."
        )
    _, layer, local = name.split(".", 2)
    return int(layer), local


def _copies(cache: TransformerCache, values: Tensor, name: str) -> int:
    """How many times `values` hold the batch of the run."""
    cfg, n_tokens = cache.model.cfg, cache._run.layout.n_tokens
    sizes = dict.fromkeys(("token", "query", "key"), n_tokens)
    sizes |= {"head": cfg.n_heads, "d_head": cfg.head_width, "d_model": cfg.d_model}
    sizes |= {"image": cache.n_images, "neuron": cfg.d_mlp or 0}
    n_images, *shape = (sizes[word] for word in cache.model.axes(name))
    copies, rest = divmod(len(values), n_images)
    if list(values.shape[1:]) != shape or rest or not copies:
        raise ValueError(
            f"Values for `{name}` must be {[n_images, *shape]}, or several of these one after "
            f"the other; got {list(values.shape)}. Keep the shape of what was recorded."
        )
    return copies
