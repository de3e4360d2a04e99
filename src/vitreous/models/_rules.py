"""Rules that every part shares: how the value at a point follows from those just upstream."""

from collections.abc import Callable, Sequence

from torch import Tensor

from vitreous.models._mlp import MLP
from vitreous.models._norms import Norm

IsStored = Callable[[str], bool]
Rule = tuple[Sequence[str], Callable[..., Tensor]]


def same(x: Tensor) -> Tensor:
    return x


def sum_of(*names: str) -> Rule:
    return list(names), _added


def _added(first: Tensor, *rest: Tensor) -> Tensor:
    for each in rest:
        first = first + each
    return first


def norm_rule(
    name: str,
    norm: Norm | None,
    source: str,
    is_stored: IsStored,
    prepare: Callable[[Tensor], Tensor] = same,
) -> Rule | None:
    """The scale of a norm, and its result: at the scale of the run where that was stored."""
    if norm is None:
        return None
    if name.endswith("hook_scale"):
        return [source], lambda x: norm.scale(prepare(x))
    scale = name.replace("hook_normalized", "hook_scale")
    if is_stored(scale):
        return [source, scale], lambda x, at: norm.divide(prepare(x), at)
    return [source], lambda x: norm.fused(prepare(x))


def mlp_rule(mlp: MLP, name: str, read: str, is_stored: IsStored) -> Rule | None:
    """A point of an MLP, in a block or behind a pooling, that reads what is at `read`."""
    if name.startswith("mlp.in_norm."):
        return norm_rule(name, mlp.in_norm, read, is_stored)
    read = read if mlp.in_norm is None else "mlp.in_norm.hook_normalized"
    activated: Rule = (["mlp.hook_pre"], mlp.activation)
    if mlp.fc_linear is not None:
        activated = (["mlp.hook_pre", "mlp.hook_pre_linear"], mlp.gated)
    if name.startswith("mlp.norm."):
        return norm_rule(name, mlp.norm, "mlp.hook_mid", is_stored)
    if name.startswith("mlp.out_norm."):
        return norm_rule(name, mlp.out_norm, "mlp.hook_post", is_stored, mlp.project_out)
    rules: dict[str, Rule] = {
        "mlp.hook_pre": ([read], mlp.fc_in),
        "mlp.hook_post": activated,
        "hook_mlp_out": (["mlp.hook_post"], mlp.project_out),
    }
    if mlp.fc_linear is not None:
        rules["mlp.hook_pre_linear"] = ([read], mlp.fc_linear)
    if mlp.has_mid:
        rules["mlp.hook_mid"] = activated
        post = "mlp.hook_mid" if mlp.norm is None else "mlp.norm.hook_normalized"
        rules["mlp.hook_post"] = ([post], same)
    if mlp.out_norm is not None:
        rules["hook_mlp_out"] = (["mlp.out_norm.hook_normalized"], same)
    return rules.get(name)
