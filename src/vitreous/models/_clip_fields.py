"""What must hold of the configuration of a model that takes clips, or divides its attention."""

from typing import TYPE_CHECKING

from vitreous.models._config_fields import require

if TYPE_CHECKING:
    from vitreous.models._config import HookedViTConfig


def require_clips_fit(cfg: "HookedViTConfig") -> None:
    """Raises `ValueError` where frames, positions and attention don't fit together."""
    require(
        cfg.n_frames % cfg.tubelet == 0,
        "`n_frames` must divide by `tubelet`",
        (cfg.n_frames, cfg.tubelet),
        "Pass other sizes",
    )
    require(
        cfg.tubelet == 1 or not cfg.stem,
        "A stem embeds frames one by one, with `tubelet=1`",
        cfg.tubelet,
        "Pass another of the two",
    )
    if cfg.places[0] > 1:
        _require_positions(cfg)
    if cfg.divides_space_time:
        _require_plain_attention(cfg)


def _require_positions(cfg: "HookedViTConfig") -> None:
    """Those that know rows and columns alone can't tell frames apart."""
    require(
        not _turns(cfg),
        "`attention.rotary` and `attention.relative_bias` know rows and columns alone",
        f"{cfg.places[0]} frames of patches",
        "Pass positions that are added",
    )
    position = cfg.position
    if position is None or position.frames == "added":
        return
    require(
        position.kind == "learned",
        "Sin-cos positions of clips must be the same in each frame",
        "PositionConfig(frames='own')",
        "Pass frames='added', or learned positions",
    )
    require(
        position.resample is None,
        "`position.resample` knows rows and columns alone",
        f"{cfg.places[0]} frames with positions of their own",
        "Leave it out, or pass frames='added'",
    )


def _require_plain_attention(cfg: "HookedViTConfig") -> None:
    parts = {
        "parallel=True": cfg.parallel,
        "out_norm": cfg.out_norm is not None,
        "attention.z_norm": cfg.attention.z_norm is not None,
        "attention.causal=True": cfg.attention.causal,
        "attention.rotary or attention.relative_bias": _turns(cfg),
    }
    others = [name for name, there in parts.items() if there]
    require(
        not others,
        "`attention.space_time='divided'` needs plain attention in blocks one after the other",
        " and ".join(others),
        "Leave it out, or pass 'joint'",
    )


def _turns(cfg: "HookedViTConfig") -> bool:
    return cfg.attention.rotary is not None or cfg.attention.relative_bias
