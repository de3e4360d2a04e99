"""What a glass text transformer is made of."""

from dataclasses import dataclass, field
from typing import ClassVar

from vitreous.models._config import TransformerConfig
from vitreous.models._config_fields import require
from vitreous.models._part_configs import PLACES, PositionConfig


@dataclass(frozen=True)
class HookedTextConfig(TransformerConfig):
    """Shape and parts of a `HookedTextTransformer`: those of `TransformerConfig`, and its words.

    Attributes:
        vocab_size: Tokens that there are.
        n_ctx: Tokens of a text, at most.
        cls_token: Whether a class token follows each text.
        eot_token: What ends a text, for `pooling.kind="eot"`: it is read at the first of these.
            None reads the token of the highest number, which is how CLIP's vocabulary was used.
        pad_token: What fills a text up where nobody attends to that; None where all tokens are
            attended to.
        shifts_padding: Whether the class token pushes the padding's places back by one, so that
            the text's last token is taken for padding and the class token's place isn't, as in
            the published weights of CoCa.
    """

    vocab_size: int = field(kw_only=True)
    n_ctx: int = field(default=77, kw_only=True)
    cls_token: bool = field(default=False, kw_only=True)
    eot_token: int | None = field(default=None, kw_only=True)
    pad_token: int | None = field(default=None, kw_only=True)
    shifts_padding: bool = field(default=False, kw_only=True)

    _sizes: ClassVar = (
        *TransformerConfig._sizes, "vocab_size", "n_ctx", "eot_token", "pad_token"
    )  # fmt: skip
    _may_be_none: ClassVar = (*TransformerConfig._may_be_none, "eot_token", "pad_token")
    _may_be_zero: ClassVar = ("eot_token", "pad_token")
    _truths: ClassVar = (*TransformerConfig._truths, "cls_token", "shifts_padding")

    @property
    def n_tokens(self) -> int:
        """Tokens of the longest sequence."""
        return self.n_ctx + self.cls_token

    def _check(self) -> None:
        super()._check()
        kinds = (*PLACES, "mean", "none")
        require(
            self.pooling.kind in kinds,
            f"`pooling.kind` of texts must be one of {', '.join(kinds)}",
            repr(self.pooling.kind),
            "Choose one",
        )
        require(
            self.attention.rotary is None
            and not (self.attention.relative_bias or self.divides_space_time),
            "`attention` of texts must depend on no grid",
            "`rotary`, `relative_bias` or `space_time='divided'`",
            "Leave them out",
        )
        require(
            self.position is None or self.position == PositionConfig(),
            "`position` of texts must be learned, one for each token, or None",
            self.position,
            "Pass `PositionConfig()`",
        )
        require(
            not self.shifts_padding or (self.cls_token and self.pad_token is not None),
            "`shifts_padding` needs a class token and padding",
            (self.cls_token, self.pad_token),
            "Leave it at False",
        )
