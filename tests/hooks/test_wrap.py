"""Hooks, cached runs and interventions on modules that know nothing of them."""

from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
import timm
import torch
from torch import Tensor, nn

from tests.laws._models import assert_equal, build, random_like
from tests.laws.test_spans import THREE, keep
from vitreous._errors import HookError, UnknownNameError
from vitreous.hooks import Ablate, Edit, Steer, site, wrap


class Bottleneck(nn.Module):
    """As in a ResNet: one in-place ReLU that runs three times."""

    def __init__(self, width):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv3, self.bn3 = nn.Conv2d(4, width, 1, bias=False), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(Bottleneck(8), Bottleneck(8))
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer1(x).mean((2, 3)))


class Pair(nn.Module):
    def forward(self, x):
        return x + 1, {"twice": x * 2, "name": "pair", "more": [x * 3, None]}


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.pair = Pair()
        self.last = nn.Identity()

    def forward(self, x):
        one, rest = self.pair(x)
        return self.last(one + rest["twice"] + rest["more"][0])


def randomised(module):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand_like(buffer) + 0.5)
    return module.double().eval()


@pytest.fixture
def resnet():
    return randomised(ResNet())


IMAGES = random_like(torch.empty(2, 3, 6, 6, dtype=torch.float64))


def plainly_hooked(module, path, images):
    """What torch's own hooks see leave a module, call by call."""
    seen = []
    handle = module.get_submodule(path).register_forward_hook(
        lambda module, args, output: seen.append(output.detach().clone())
    )
    with torch.no_grad():
        module(images)
    handle.remove()
    return seen


def torch_hooks(module):
    return [m for m in module.modules() if m._forward_hooks or m._forward_pre_hooks]


def test_cached_values_are_those_of_plain_torch_hooks(resnet):
    model = wrap(resnet)
    logits, cache = model.run_with_cache(IMAGES)
    assert torch.equal(logits, resnet(IMAGES))
    for path in dict(resnet.named_modules()):
        seen = plainly_hooked(resnet, path, IMAGES) if path else []
        names = [path] if len(seen) == 1 else [f"{path}:{call}" for call in range(len(seen))]
        for name, value in zip(names, seen, strict=True):
            assert torch.equal(cache[name], value), name
    assert "layer1.0.relu:2" in cache and "layer1.0.relu:3" not in cache


def test_keys_stand_in_the_order_in_which_modules_returned(resnet):
    _, cache = wrap(resnet).run_with_cache(IMAGES, names_filter="layer1.0*")
    assert [name.removeprefix("layer1.0.") for name in cache] == [
        "conv1", "bn1", "relu:0", "conv2", "bn2", "relu:1", "conv3", "bn3", "relu:2", "layer1.0",
    ]  # fmt: skip


def test_the_module_is_untouched(resnet):
    resnet.train()
    resnet.bn1.eval()  # as one freezes the statistics of a part
    modes = [module.training for module in resnet.modules()]
    names = list(resnet.state_dict())
    model = wrap(resnet)
    assert [module.training for module in resnet.modules()] == modes
    model.eval().run_with_cache(IMAGES)
    with pytest.raises(ZeroDivisionError):
        model.run_with_hooks(IMAGES, fwd_hooks=[("layer1.1.bn2", lambda value, hook: 1 / 0)])
    assert torch_hooks(resnet) == [] and list(resnet.state_dict()) == names


def test_hooks_of_the_modules_own_still_run(resnet):
    seen = []
    resnet.fc.register_forward_hook(lambda module, args, output: seen.append(output))
    wrap(resnet).run_with_cache(IMAGES)
    assert len(seen) == 1 and len(torch_hooks(resnet)) == 1


@pytest.mark.parametrize("in_place", [False, True])
def test_an_edit_reaches_everything_downstream(resnet, in_place):
    def zero(value, hook):
        return value.zero_() if in_place else torch.zeros_like(value)

    with torch.no_grad():
        edited = wrap(resnet).run_with_hooks(IMAGES, fwd_hooks=[("layer1.0.bn3", zero)])
        nn.init.zeros_(resnet.layer1[0].bn3.weight)
        nn.init.zeros_(resnet.layer1[0].bn3.bias)
    assert_equal(edited, resnet(IMAGES))


def test_a_hook_on_a_shared_module_fires_at_every_call_and_on_a_call_at_that_one(resnet):
    model, fired = wrap(resnet), []
    model.run_with_hooks(
        IMAGES, fwd_hooks=[("layer1.0.relu", lambda value, hook: fired.append(value.shape[1]))]
    )
    assert fired == [4, 4, 8]
    model.run_with_hooks(
        IMAGES, fwd_hooks=[("layer1.0.relu:1", lambda value, hook: fired.append(hook.name))]
    )
    assert fired == [4, 4, 8, "layer1.0.relu:1"]


def test_one_call_of_a_shared_module_can_be_cached_alone(resnet):
    _, cache = wrap(resnet).run_with_cache(IMAGES, names_filter=["layer1.0.relu:1", "fc"])
    expected = plainly_hooked(resnet, "layer1.0.relu", IMAGES)[1]
    assert torch.equal(cache["layer1.0.relu:1"], expected)
    assert set(cache) == {"layer1.0.relu:1", "fc"}


def test_parts_of_tuples_and_dictionaries_have_names():
    x = torch.randn(2, 3)
    _, cache = wrap(Nested()).run_with_cache(x)
    expected = {
        "pair[0]": x + 1,
        "pair[1][twice]": x * 2,
        "pair[1][more][0]": x * 3,
        "last": 6 * x + 1,
    }
    assert set(cache) == set(expected)
    for name, value in expected.items():
        assert torch.allclose(cache[name], value), name


@pytest.mark.parametrize("name", ["pair[0]", "pair[1][twice]", "pair[1][more][0]"])
def test_a_part_can_be_asked_for_and_edited_alone(name):
    model, x = wrap(Nested()), torch.randn(2, 3)
    _, cache = model.run_with_cache(x, names_filter=name)
    assert set(cache) == {name}
    edited = model.run_with_hooks(x, fwd_hooks=[(name, lambda value, hook: value + 10)])
    assert torch.allclose(edited, model(x) + 10)
    zeroed = model.run_with_hooks(x, fwd_hooks=[(name, lambda value, hook: value.zero_())])
    assert torch.allclose(zeroed, model(x) - cache[name])


def test_a_hook_on_a_module_that_returns_no_tensor_raises_and_names_the_parts():
    with pytest.raises(
        HookError, match=r"needs a tensor; .* tuple\. Hook one of pair\[0\], pair\[1\]"
    ):
        wrap(Nested()).run_with_hooks(torch.randn(2, 3), fwd_hooks=[("pair", keep)])


def test_a_part_that_does_not_come_never_fires():
    model, x = wrap(Nested()), torch.randn(2, 3)
    for name in ("pair[7]", "pair[0]:1", "last[0]"):
        with pytest.raises(HookError, match="the pass didn't come by"):
            model.run_with_hooks(x, fwd_hooks=[(name, keep)])
        with pytest.raises(HookError, match="must name what the pass comes by"):
            model.run_with_cache(x, names_filter=["last", name])


class Output(NamedTuple):
    logits: Tensor
    hidden: tuple[Tensor, dict[str, Tensor]]


class Named(nn.Module):
    """Returns a named tuple; its last part never runs."""

    def __init__(self):
        super().__init__()
        self.body, self.spare, self.nothing = Body(), nn.Identity(), Nothing()

    def forward(self, x):
        self.nothing(x)
        out = self.body(x)
        return out.logits + out.hidden[1]["layer.0"]


class Body(nn.Module):
    def forward(self, x):
        return Output(x + 1, (x * 2, {"layer.0": x * 3}))


class Nothing(nn.Module):
    def forward(self, x):
        del x


def test_parts_of_named_tuples_have_the_names_of_their_fields():
    model, x = wrap(Named()), torch.randn(2, 3)
    _, cache = model.run_with_cache(x)
    assert list(cache) == ["body[logits]", "body[hidden][0]", "body[hidden][1][layer.0]"]
    assert torch.allclose(cache["body[hidden][0]"], x * 2)
    for name in ("body[logits]", "body[hidden][1][layer.0]"):
        edited = model.run_with_hooks(x, fwd_hooks=[(name, lambda value, hook: value * 0)])
        assert torch.allclose(edited, model(x) - cache[name])


@pytest.mark.parametrize("wanted", ["spare", ["body", "spare"], "nothing", iter(["spare"])])
def test_a_module_asked_for_by_name_has_to_return_a_tensor(wanted):
    with pytest.raises(HookError, match=r"what the pass comes by; '\w+' never returned a tensor"):
        wrap(Named()).run_with_cache(torch.randn(2, 3), names_filter=wanted)


@pytest.mark.parametrize("wanted", [None, "*", ["s*", "body"], lambda name: True])
def test_a_filter_that_spells_nothing_out_takes_what_comes(wanted):
    _, cache = wrap(Named()).run_with_cache(torch.randn(2, 3), names_filter=wanted)
    assert {name.partition("[")[0] for name in cache} == {"body"}


def test_a_hook_on_a_module_without_tensors_raises_and_names_the_way_out():
    with pytest.raises(HookError, match=r"returns NoneType\. Hook a module inside of it\."):
        wrap(Named()).run_with_hooks(torch.randn(2, 3), fwd_hooks=[("nothing", keep)])


def test_a_module_with_hook_points_has_no_need_to_be_wrapped():
    vit = build(THREE)
    names = [point.name for point in vit.hook_dict.values()]
    for module in (vit, nn.Sequential(vit), wrap(nn.Sequential(nn.Identity()))):
        with pytest.raises(TypeError, match="is for modules without hook points; got a "):
            wrap(module)
    assert [point.name for point in vit.hook_dict.values()] == names


@pytest.mark.parametrize("gradient", [False, True])
def test_an_exception_in_the_middle_of_a_pass_leaves_no_torch_hook(resnet, gradient):
    model = wrap(resnet)
    metric = (lambda logits: logits[:, 9]) if gradient else False
    resnet.fc = nn.Linear(8 if gradient else 7, 5).double()
    with pytest.raises((RuntimeError, IndexError), match=r"mat2|out of bounds"):
        model.run_with_cache(IMAGES, incl_bwd=metric)
    assert not torch_hooks(resnet)
    assert not any(point.watched for point in model.hook_dict.values())


def test_a_tensor_that_a_hook_returned_is_not_worked_on_in_place(resnet):
    mine = -torch.ones(2, 4, 4, 4, dtype=torch.float64)
    wrap(resnet).run_with_hooks(IMAGES, fwd_hooks=[("layer1.0.bn1", lambda value, hook: mine)])
    assert (mine == -1).all()


def test_unknown_paths_raise_with_the_nearest(resnet):
    model = wrap(resnet)
    with pytest.raises(UnknownNameError, match=r"'layer1\.0\.con1'\. Nearest: layer1\.0\.conv1"):
        model.run_with_cache(IMAGES, names_filter="layer1.0.con1")
    with pytest.raises(HookError, match=r"Pattern 'layer9\[0\]' must match a hook point"):
        model.add_hook("layer9[0]", keep)


def test_interventions_act_on_whole_values(resnet):
    model = wrap(resnet)
    with model.intervene([Ablate("layer1.1.conv3", "zero"), Edit("fc", lambda v, hook: v * 2)]):
        edited = model(IMAGES)
    zero = [("layer1.1.conv3", lambda value, hook: torch.zeros_like(value))]
    assert_equal(edited, 2 * model.run_with_hooks(IMAGES, fwd_hooks=zero))
    with model.intervene(Steer("fc", torch.ones(5), 3.0)):
        assert_equal(model(IMAGES), resnet(IMAGES) + 3)
    with pytest.raises(ValueError, match="must have a token dimension"):
        model.resolve_site(site("fc", positions=0))


def out_of_place(module):
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    return module


@pytest.mark.parametrize(
    "path", ["conv1", "bn1", "layer1.0.bn2", "layer1.0.conv3", "layer1.0", "fc"]
)
@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_are_those_in_front_of_what_works_in_place(resnet, path, frozen):
    resnet.requires_grad_(not frozen)
    weights = random_like(torch.empty(2, 5, dtype=torch.float64))
    _, cache = wrap(resnet).run_with_cache(
        IMAGES, names_filter=path, incl_bwd=lambda logits: (logits * weights).sum(1)
    )
    seen = {}

    def remember(module, args, output):
        seen["value"] = output if output.requires_grad else output.requires_grad_()
        return seen["value"].clone()

    out_of_place(resnet).get_submodule(path).register_forward_hook(remember)
    [expected] = torch.autograd.grad((resnet(IMAGES) * weights).sum(), seen["value"])
    assert_equal(cache[f"{path}_grad"], expected)
    assert all(parameter.grad is None for parameter in resnet.parameters())


def test_backward_hooks_see_the_gradient_in_front_of_what_works_in_place(resnet):
    seen, images = [], IMAGES.clone().requires_grad_()
    model = wrap(resnet)
    hooks = [("layer1.0.bn2", lambda gradient, hook: seen.append(gradient.clone()))]
    model.run_with_hooks(images, bwd_hooks=hooks).sum().backward()
    _, cache = model.run_with_cache(
        IMAGES, names_filter="layer1.0.bn2", incl_bwd=lambda logits: logits.sum(1)
    )
    assert_equal(seen[0], cache["layer1.0.bn2_grad"])


def test_an_untouched_timm_vit_runs_as_it_is():
    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=5).eval()
    vit = randomised(vit)
    images = random_like(torch.empty(2, 3, 32, 32, dtype=torch.float64))
    model = wrap(vit)
    logits, cache = model.run_with_cache(images, names_filter=["blocks.*", "norm"])
    assert torch.equal(logits, vit(images))
    for path in ("blocks.0.attn.qkv", "blocks.1.mlp.fc1", "blocks.1", "norm"):
        assert torch.equal(cache[path], plainly_hooked(vit, path, images)[0]), path
    with model.intervene(Ablate("blocks.1.attn.proj", "zero")):
        ablated = model(images)
    nn.init.zeros_(vit.blocks[1].attn.proj.weight)
    nn.init.zeros_(vit.blocks[1].attn.proj.bias)
    assert_equal(ablated, vit(images))
    assert torch_hooks(vit) == []


def test_a_hook_may_run_the_wrapped_module_again(resnet):
    model = wrap(resnet)
    plain = model.run_with_cache(IMAGES)[1]
    inner = []

    def run_again(value, hook):
        if not inner:
            inner.append(None)
            inner.append(model(IMAGES * 2))

    _, cache = model.run_with_cache(IMAGES, fwd_hooks=[("layer1.0.conv2", run_again)])
    assert list(cache) == list(plain)
    for name, value in cache.items():
        assert torch.equal(value, plain[name]), name
    assert torch.equal(inner[1], resnet(IMAGES * 2))


def test_a_module_under_two_names_answers_to_the_first():
    layer = nn.Linear(3, 3)
    tied = nn.Sequential(layer, nn.ReLU(), layer)
    _, cache = wrap(tied).run_with_cache(torch.randn(2, 3))
    assert list(cache) == ["0:0", "1", "0:1"]


@dataclass
class Step:
    hidden: Tensor
    note: str
    parts: tuple[Tensor, "Fixed"]


@dataclass(frozen=True, slots=True)
class Fixed:
    scores: dict[str, Tensor]
    nothing: None = None
    doubled: Tensor = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "doubled", self.scores["top"] * 2)


class Walk(nn.Module):
    def forward(self, x):
        fixed = Fixed({"top": x + 2})
        return {"step": Step(x + 1, "walked", (x * 3, fixed)), "size": 3}


class Recorded(nn.Module):
    """Its part returns tensors in dataclasses."""

    def __init__(self):
        super().__init__()
        self.walk = Walk()

    def forward(self, x):
        walked = self.walked = self.walk(x)
        step, (tripled, fixed) = walked["step"], walked["step"].parts
        assert (step.note, walked["size"], fixed.nothing) == ("walked", 3, None)
        return step.hidden + tripled + fixed.scores["top"] + fixed.doubled


WALKED = {
    "walk[step][hidden]": lambda x: x + 1,
    "walk[step][parts][0]": lambda x: x * 3,
    "walk[step][parts][1][scores][top]": lambda x: x + 2,
    "walk[step][parts][1][doubled]": lambda x: (x + 2) * 2,
}


def test_parts_of_dataclasses_have_the_names_of_their_fields():
    model, x = wrap(Recorded()), torch.randn(2, 3)
    output, cache = model.run_with_cache(x)
    assert torch.equal(output, model.module(x))
    assert list(cache) == [*WALKED]
    for name, expected in WALKED.items():
        assert torch.equal(cache[name], expected(x)), name


@pytest.mark.parametrize("name", WALKED)
def test_a_part_of_a_dataclass_can_be_asked_for_and_edited_alone(name):
    model, x = wrap(Recorded()), torch.randn(2, 3)
    _, cache = model.run_with_cache(x, names_filter=name)
    assert set(cache) == {name}
    edited = model.run_with_hooks(x, fwd_hooks=[(name, lambda value, hook: value + 10)])
    assert torch.allclose(edited, model(x) + 10)
    _, cache = model.run_with_cache(x, names_filter=name, incl_bwd=lambda out: out.sum())
    assert cache[f"{name}_grad"].eq(1).all()


def test_a_hook_on_a_module_that_returns_a_dataclass_names_its_parts():
    with pytest.raises(
        HookError, match=r"Hook one of walk\[step\]\[hidden\], walk\[step\]\[parts\]\[0"
    ):
        wrap(Recorded()).run_with_hooks(torch.randn(2, 3), fwd_hooks=[("walk", keep)])


def test_an_output_that_nobody_edits_is_handed_on_itself():
    module, returned = Recorded(), []
    module.walk.register_forward_hook(lambda module, args, output: returned.append(output))
    wrap(module).run_with_cache(torch.randn(2, 3))
    assert module.walked is returned[0]
