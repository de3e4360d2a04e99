"""What ViViT, VideoMAE and TimeSformer have that models of images lack.

TimeSformer that attends to space alone takes the frames of a clip for images of their own, and
gives an output for each: here it is a model of images, `model(clips.flatten(0, 1))`.
"""

from typing import Any

from torch import Tensor

from vitreous.models._part_configs import NormConfig, PoolingConfig

# Of the norm behind VideoMAE's pooling, which doesn't follow the config.
POOLED_EPS = 1e-5


def is_video(config: Any) -> bool:
    return hasattr(config, "num_frames")


def patch_size(config: Any) -> Any:
    """Pixel rows and columns of a patch; ViViT's tubelets have the frames in front."""
    return getattr(config, "patch_size", None) or config.tubelet_size[1:]


def clip_fields(config: Any, weights: dict[str, Tensor]) -> dict[str, Any]:
    """The fields of a configuration that say how clips come in."""
    if not is_video(config) or getattr(config, "attention_type", None) == "space_only":
        return {}
    kernel = weights["embedding.patch.weight"].shape
    return {"n_frames": config.num_frames, "tubelet": kernel[2] if len(kernel) == 5 else 1}


def videomae_pooling(config: Any, norm: NormConfig, *, has_norm: bool) -> PoolingConfig:
    """VideoMAE has no class token: its head reads the mean of all, or the first."""
    if not config.use_mean_pooling:
        return PoolingConfig("first", norm)
    if not has_norm:  # without the head, where the norm is
        return PoolingConfig("none", None)
    return PoolingConfig("mean", NormConfig("layer", POOLED_EPS), norm_first=False)


def tables(module: Any) -> dict[str, Tensor]:
    """VideoMAE's fixed positions, by place: they are no weight there, and aren't saved."""
    if module.config.model_type != "videomae":
        return {}
    base = getattr(module, module.base_model_prefix, module)
    return {"embedding.pos": base.embeddings.position_embeddings}


def fold_time_dense(tensors: dict[str, Tensor], at: str) -> None:
    """TimeSformer's second linear map behind temporal attention, multiplied into the first.

    In float64, and rounded once to the dtype of the weights.
    """
    dense, out = f"{at}dense.", f"{at}out."
    if not all(f"{part}weight" in tensors for part in (dense, out)):
        return
    second = tensors.pop(f"{dense}weight")
    weight = second.double() @ tensors[f"{out}weight"].double()
    bias = tensors.pop(f"{dense}bias").double()
    if f"{out}bias" in tensors:
        bias = bias + second.double() @ tensors[f"{out}bias"].double()
    tensors[f"{out}weight"], tensors[f"{out}bias"] = weight.to(second), bias.to(second)


def one_frame(weight: Tensor) -> Tensor:
    """Of a tubelet of one frame, the weight of a patch."""
    return weight.squeeze(2) if weight.ndim == 5 and weight.shape[2] == 1 else weight


def clips_of(module: Any, inputs: Tensor) -> Tensor:
    """Inputs of ours as the source takes them: pictures are clips of one frame."""
    return inputs[:, None] if is_video(module.config) and inputs.ndim == 4 else inputs


def read_token(output: Any, config: Any) -> Tensor:
    """What a bare model gives, as the adapter reads it."""
    if getattr(config, "use_mean_pooling", False):
        return output.last_hidden_state
    return output.last_hidden_state[:, 0]
