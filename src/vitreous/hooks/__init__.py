"""Read and edit the activations of any torch module."""

from vitreous.hooks._ablation import Ablate
from vitreous.hooks._attention_masks import AttentionMask, CausalMask, KnockOut
from vitreous.hooks._batched import Batched
from vitreous.hooks._cache import ActivationCache, Derivation, Read, save_whole
from vitreous.hooks._edits import Edit, ShiftPeak, Steer
from vitreous.hooks._freezing import Freeze
from vitreous.hooks._hook_point import Direction, Hook, HookFunction, HookPoint
from vitreous.hooks._hooked_module import HookedModule, HookList, Metric
from vitreous.hooks._intervention import Intervention
from vitreous.hooks._means import Means, MeansBy
from vitreous.hooks._names import HookNames, NamesFilter
from vitreous.hooks._patches import ActivationPatch, SwapSubspace
from vitreous.hooks._saving import load_interventions, save_interventions
from vitreous.hooks._site import ResolvedSite, Site, in_range, site
from vitreous.hooks._wrap import WrappedModule, wrap

__all__ = [
    "Ablate",
    "ActivationCache",
    "ActivationPatch",
    "AttentionMask",
    "Batched",
    "CausalMask",
    "Derivation",
    "Direction",
    "Edit",
    "Freeze",
    "Hook",
    "HookFunction",
    "HookList",
    "HookNames",
    "HookPoint",
    "HookedModule",
    "Intervention",
    "KnockOut",
    "Means",
    "MeansBy",
    "Metric",
    "NamesFilter",
    "Read",
    "ResolvedSite",
    "ShiftPeak",
    "Site",
    "Steer",
    "SwapSubspace",
    "WrappedModule",
    "in_range",
    "load_interventions",
    "save_interventions",
    "save_whole",
    "site",
    "wrap",
]
