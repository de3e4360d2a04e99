"""Looks inside vision transformers: every value, and what causes a prediction.

```python
import vitreous as vt

model = vt.load("digits")
images = model.preprocess("seven.png")
logits, cache = model.run_with_cache(images)
shares = vt.direct_logit_shares(model, images, model.target("7", minus="1"))
vt.explain(model, "seven.png").save("report.html")
```

Everything here is imported when it is first asked for: `import vitreous` itself imports no torch.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitreous import circuits as circuits
    from vitreous import data as data
    from vitreous import decomposition as decomposition
    from vitreous import heads as heads
    from vitreous import hooks as hooks
    from vitreous import lenses as lenses
    from vitreous import models as models
    from vitreous import patching as patching
    from vitreous import report as report
    from vitreous import terrarium as terrarium
    from vitreous import training as training
    from vitreous import view as view
    from vitreous._errors import HookError as HookError
    from vitreous._errors import ImageError as ImageError
    from vitreous._errors import MissingDependencyError as MissingDependencyError
    from vitreous._errors import UnknownNameError as UnknownNameError
    from vitreous._errors import UnsupportedModelError as UnsupportedModelError
    from vitreous._errors import WeightsError as WeightsError
    from vitreous._registry import list_models as list_models
    from vitreous.circuits import discover as discover
    from vitreous.decomposition import direct_logit_attribution as direct_logit_attribution
    from vitreous.decomposition import direct_logit_shares as direct_logit_shares
    from vitreous.heads import score_heads as score_heads
    from vitreous.hooks import Ablate as Ablate
    from vitreous.hooks import ActivationCache as ActivationCache
    from vitreous.hooks import ActivationPatch as ActivationPatch
    from vitreous.hooks import AttentionMask as AttentionMask
    from vitreous.hooks import CausalMask as CausalMask
    from vitreous.hooks import Edit as Edit
    from vitreous.hooks import Freeze as Freeze
    from vitreous.hooks import KnockOut as KnockOut
    from vitreous.hooks import Steer as Steer
    from vitreous.hooks import SwapSubspace as SwapSubspace
    from vitreous.hooks import site as site
    from vitreous.hooks import wrap as wrap
    from vitreous.lenses import JacobianLens as JacobianLens
    from vitreous.lenses import TunedLens as TunedLens
    from vitreous.lenses import logit_lens as logit_lens
    from vitreous.models import FactoredMatrix as FactoredMatrix
    from vitreous.models import HookedCLIP as HookedCLIP
    from vitreous.models import HookedTextConfig as HookedTextConfig
    from vitreous.models import HookedTextTransformer as HookedTextTransformer
    from vitreous.models import HookedViT as HookedViT
    from vitreous.models import HookedViTConfig as HookedViTConfig
    from vitreous.models import TokenLayout as TokenLayout
    from vitreous.models import from_module as from_module
    from vitreous.models import from_state_dict as from_state_dict
    from vitreous.models import load as load
    from vitreous.patching import find_switch as find_switch
    from vitreous.patching import sweep as sweep
    from vitreous.report import explain as explain
    from vitreous.training import means as means

    __version__: str

# The same for the interpreter, which asks only when a name is used.
_PACKAGES = (
    "circuits",
    "data",
    "decomposition",
    "heads",
    "hooks",
    "lenses",
    "models",
    "patching",
    "report",
    "terrarium",
    "training",
    "view",
)
_HOMES = {
    "Ablate": "hooks",
    "ActivationCache": "hooks",
    "ActivationPatch": "hooks",
    "AttentionMask": "hooks",
    "CausalMask": "hooks",
    "Edit": "hooks",
    "FactoredMatrix": "models",
    "Freeze": "hooks",
    "HookError": "_errors",
    "HookedCLIP": "models",
    "HookedTextConfig": "models",
    "HookedTextTransformer": "models",
    "HookedViT": "models",
    "HookedViTConfig": "models",
    "ImageError": "_errors",
    "JacobianLens": "lenses",
    "KnockOut": "hooks",
    "MissingDependencyError": "_errors",
    "Steer": "hooks",
    "SwapSubspace": "hooks",
    "TokenLayout": "models",
    "TunedLens": "lenses",
    "UnknownNameError": "_errors",
    "UnsupportedModelError": "_errors",
    "WeightsError": "_errors",
    "direct_logit_attribution": "decomposition",
    "direct_logit_shares": "decomposition",
    "discover": "circuits",
    "explain": "report",
    "find_switch": "patching",
    "from_module": "models",
    "from_state_dict": "models",
    "list_models": "_registry",
    "load": "models",
    "logit_lens": "lenses",
    "means": "training",
    "score_heads": "heads",
    "site": "hooks",
    "sweep": "patching",
    "wrap": "hooks",
}


def _find(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("vitreous")
    if name in _PACKAGES:
        return importlib.import_module(f"vitreous.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"vitreous.{_HOMES[name]}"), name)
    # With `name` and `obj`, Python itself adds the nearest name to the message.
    raise AttributeError(
        f"module 'vitreous' has no attribute {name!r}", name=name, obj=sys.modules[__name__]
    )


def __getattr__(name: str) -> Any:
    globals()[name] = value = _find(name)
    return value


def __dir__() -> list[str]:
    return sorted([*_PACKAGES, *_HOMES, "__version__"])
