"""A run that goes on from inside a block is the whole pass with a hook there, for every model."""

import torch
from torch import Tensor

from tests.laws._models import assert_equal, build, configs, images_for, law
from tests.laws._texts import build_text, text_configs, texts_for
from vitreous.models import GlassTransformer, HookedTextConfig, HookedViTConfig


def require_restarts(model: GlassTransformer, inputs: Tensor) -> None:
    """From every point where one can, with two batches of values that are no run's own."""
    for name in filter(model.can_restart, model.hook_names()):
        held = model.run_with_cache(inputs, names_filter=model.restart_names(name))[1]
        values = [held[name] * 1.5, held[name].flip(0)]
        expected = [
            model.run_with_hooks(inputs, fwd_hooks=[(name, lambda x, hook, v=v: v)]) for v in values
        ]
        assert_equal(model.restart(held, name, torch.cat(values)), torch.cat(expected), name)


@law(configs(), examples=15)
def test_of_images(cfg: HookedViTConfig):
    with torch.no_grad():
        require_restarts(build(cfg), images_for(cfg))


@law(text_configs(), examples=15)
def test_of_texts(cfg: HookedTextConfig):
    with torch.no_grad():
        require_restarts(build_text(cfg), texts_for(cfg))
