"""Read and edit the activations of any torch module."""

from vitreous.hooks._cache import ActivationCache, Derivation, Read, save_whole
from vitreous.hooks._hook_point import Direction, Hook, HookFunction, HookPoint
from vitreous.hooks._hooked_module import HookedModule, HookList, Metric
from vitreous.hooks._interventions import (
    Ablate,
    ActivationPatch,
    Batched,
    Edit,
    Intervention,
    Steer,
)
from vitreous.hooks._means import Means, MeansBy
from vitreous.hooks._names import HookNames, NamesFilter
from vitreous.hooks._saving import load_interventions, save_interventions
from vitreous.hooks._site import ResolvedSite, Site, site
from vitreous.hooks._wrap import WrappedModule, wrap

__all__ = [
    "Ablate",
    "ActivationCache",
    "ActivationPatch",
    "Batched",
    "Derivation",
    "Direction",
    "Edit",
    "Hook",
    "HookFunction",
    "HookList",
    "HookNames",
    "HookPoint",
    "HookedModule",
    "Intervention",
    "Means",
    "MeansBy",
    "Metric",
    "NamesFilter",
    "Read",
    "ResolvedSite",
    "Site",
    "Steer",
    "WrappedModule",
    "load_interventions",
    "save_interventions",
    "save_whole",
    "site",
    "wrap",
]
