"""What hooks, filters, sites and interventions say to input that they can't take."""

import pytest
import torch

from tests.laws._models import build, images_for
from tests.laws.test_spans import THREE, keep
from vitreous._errors import HookError
from vitreous.hooks import Ablate, Edit, site, wrap

MODEL, IMAGES = build(THREE), images_for(THREE)
Z = "blocks.1.attn.hook_z"


def says(error, action):
    with pytest.raises(error) as raised:
        action()
    message = str(raised.value)
    assert "\n" not in message and message.endswith(".")
    assert not any(p.fwd_hooks or p.bwd_hooks or p.recorder for p in MODEL.hook_dict.values())
    return message


def run_with(function, direction="fwd_hooks"):
    return lambda: MODEL.run_with_hooks(IMAGES, **{direction: [(Z, function)]})


def test_a_hook_must_return_a_tensor():
    expected = f"A hook on `{Z}` must return a tensor or None; got int. Return the edited tensor,"
    assert says(TypeError, run_with(lambda value, hook: 3)).startswith(expected)


def test_a_hook_must_keep_shape_and_dtype():
    message = says(ValueError, run_with(lambda value, hook: value[:1]))
    assert message.startswith(
        f"A hook on `{Z}` must return float64[2, 7, 2, 4]; got float64[1, 7, 2, 4]. Keep the shape"
    )
    message = says(ValueError, run_with(lambda value, hook: value.float()))
    assert "got float32[2, 7, 2, 4]" in message


def test_a_backward_hook_must_keep_the_shape_too():
    output = run_with(lambda gradient, hook: gradient[:1], "bwd_hooks")()
    assert "must return float64[2, 7, 2, 4]" in says(ValueError, output.sum().backward)


def test_a_direction_is_fwd_or_bwd():
    message = says(ValueError, lambda: MODEL.add_hook(Z, keep, "backward"))
    assert message == "`dir` must be 'fwd' or 'bwd'; got 'backward'. Pass one of them."


def test_a_gradient_needs_gradients():
    def under_no_grad():
        with torch.no_grad():
            run_with(keep, "bwd_hooks")()

    assert f"A gradient at `{Z}` needs gradients enabled" in says(HookError, under_no_grad)

    def in_inference_mode():
        with torch.inference_mode():
            MODEL.run_with_cache(IMAGES, incl_bwd=lambda logits: logits[:, 0])

    assert "`incl_bwd` needs a graph; got a pass under" in says(HookError, in_inference_mode)


def test_a_gradient_needs_a_scalar_or_a_metric():
    message = says(ValueError, lambda: MODEL.run_with_cache(IMAGES, incl_bwd=True))
    assert message.startswith(
        "`incl_bwd=True` needs a scalar output; got shape [2, 4]. Pass a metric"
    )


def test_a_gradient_needs_an_output():
    silent = torch.nn.Sequential(torch.nn.Linear(9, 9), torch.nn.Identity())
    silent[1].forward = lambda x: None
    message = says(ValueError, lambda: wrap(silent).run_with_cache(IMAGES.float(), incl_bwd=keep))
    assert message.startswith("`incl_bwd` needs an output to differentiate; got")


def test_a_key_is_a_name_or_a_shorthand():
    _, cache = MODEL.run_with_cache(IMAGES)
    for key in (3, None, ("z", 1.5), (3, "z")):
        message = says(TypeError, lambda key=key: cache[key])
        assert message.startswith("A hook name must be a string or a tuple such as ('pattern', 3)")


def test_a_method_of_ablation_is_one_of_three():
    message = says(ValueError, lambda: Ablate(Z, "average"))
    assert message.startswith("`method` must be 'mean', 'zero' or 'resample'; got 'average'.")
    message = says(TypeError, lambda: Ablate(Z, "resample", 3))
    assert message.startswith(
        "`reference` must be a cache or a tensor for method 'resample'; got int"
    )


def test_a_point_outside_of_blocks_has_no_layer():
    message = says(ValueError, MODEL.hook_dict["hook_embed"].layer)
    assert message.startswith("`hook_embed` stands in no block.")


def test_a_wrapped_module_has_no_positions():
    model = wrap(torch.nn.Sequential(torch.nn.Linear(3, 3)))
    message = says(ValueError, lambda: model.resolve_site(site("0", head=1)))
    assert "`0` must have a head dimension for this site; it has unnamed dimensions." in message


def test_a_wrong_edit_is_named_by_its_point():
    def intervene():
        with MODEL.intervene(Edit(Z, lambda values, hook: values[..., :2])):
            MODEL(IMAGES)

    message = says(ValueError, intervene)
    assert Z in message


def test_iterators_of_names_and_hooks_are_walked_through_as_often_as_need_be():
    fired = []

    def note(value, hook):
        fired.append(hook.name)

    names = [f"blocks.{i}.attn.hook_z" for i in range(3)]
    MODEL.run_with_hooks(IMAGES, fwd_hooks=((name, note) for name in names))
    MODEL.run_with_hooks(IMAGES, fwd_hooks=[((name for name in names), note)])
    hooks = iter([(Z, note)])
    _, cache = MODEL.run_with_cache(IMAGES, names_filter=iter(names), fwd_hooks=hooks)
    assert fired == [*names, *names, Z]
    assert list(cache) == names
