"""The glass vision transformer and everything that needs to know its shape."""

from vitreous._registry import (
    KnownModel,
    ModelTable,
    list_models,
    shipped_folder,
    shipped_models,
)
from vitreous.models._attention import Attention
from vitreous.models._batches import image_tower, stream
from vitreous.models._block import Block
from vitreous.models._cache import TransformerCache
from vitreous.models._check import CheckReport, CheckRow
from vitreous.models._checkpoints import kept_steps
from vitreous.models._clip import CLIPCaches, HookedCLIP
from vitreous.models._clip_check import CLIPCheckReport
from vitreous.models._config import HookedViTConfig, TransformerConfig
from vitreous.models._factored_matrix import FactoredMatrix
from vitreous.models._frozen import frozen
from vitreous.models._graph import Edge, Graph, GraphShape, layer_of, node_of
from vitreous.models._layout import TokenLayout
from vitreous.models._load import from_module, load, load_with_original
from vitreous.models._memory import within_memory
from vitreous.models._mlp import MLP
from vitreous.models._names import get_act_name
from vitreous.models._norms import Norm
from vitreous.models._output_reading import OutputReading, output_points
from vitreous.models._pairs import Pairs, gathered_halves, require_difference
from vitreous.models._parity_report import ParityReport, ParityRow
from vitreous.models._part_configs import (
    AttentionConfig,
    MapConfig,
    NormConfig,
    PoolingConfig,
    PositionConfig,
    ResampleConfig,
    RotaryConfig,
)
from vitreous.models._processing import (
    center_writing_weights,
    fold_layer_norm,
    fold_layer_scale,
    fold_value_biases,
    resample_positions,
)
from vitreous.models._registers import with_registers, without_registers
from vitreous.models._results import as_numbers, label_names, require_finite
from vitreous.models._rows import StreamRows
from vitreous.models._saving import as_stored, saved_description, weight_hash
from vitreous.models._state_dict import from_state_dict
from vitreous.models._sublayers import AttentionNames
from vitreous.models._target import Readout, Target
from vitreous.models._text import HookedTextTransformer, Tokenizer
from vitreous.models._text_config import HookedTextConfig
from vitreous.models._text_layout import TextLayout
from vitreous.models._token_groups import TokenGroups
from vitreous.models._transformer import GlassTransformer
from vitreous.models._vit import HookedViT
from vitreous.models._without_tokens import without_tokens
from vitreous.models._zero_shot import ZeroShotClassifier
from vitreous.models.adapters import Tower

__all__ = [
    "MLP",
    "Attention",
    "AttentionConfig",
    "AttentionNames",
    "Block",
    "CLIPCaches",
    "CLIPCheckReport",
    "CheckReport",
    "CheckRow",
    "Edge",
    "FactoredMatrix",
    "GlassTransformer",
    "Graph",
    "GraphShape",
    "HookedCLIP",
    "HookedTextConfig",
    "HookedTextTransformer",
    "HookedViT",
    "HookedViTConfig",
    "KnownModel",
    "MapConfig",
    "ModelTable",
    "Norm",
    "NormConfig",
    "OutputReading",
    "Pairs",
    "ParityReport",
    "ParityRow",
    "PoolingConfig",
    "PositionConfig",
    "Readout",
    "ResampleConfig",
    "RotaryConfig",
    "StreamRows",
    "Target",
    "TextLayout",
    "TokenGroups",
    "TokenLayout",
    "Tokenizer",
    "Tower",
    "TransformerCache",
    "TransformerConfig",
    "ZeroShotClassifier",
    "as_numbers",
    "as_stored",
    "center_writing_weights",
    "fold_layer_norm",
    "fold_layer_scale",
    "fold_value_biases",
    "from_module",
    "from_state_dict",
    "frozen",
    "gathered_halves",
    "get_act_name",
    "image_tower",
    "kept_steps",
    "label_names",
    "layer_of",
    "list_models",
    "load",
    "load_with_original",
    "node_of",
    "output_points",
    "require_difference",
    "require_finite",
    "resample_positions",
    "saved_description",
    "shipped_folder",
    "shipped_models",
    "stream",
    "weight_hash",
    "with_registers",
    "within_memory",
    "without_registers",
    "without_tokens",
]
