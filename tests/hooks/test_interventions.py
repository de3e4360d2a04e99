"""What each intervention puts at its site, and that values can be saved and come back."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.laws._models import assert_equal, build, images_for, random_like
from tests.laws.test_spans import THREE
from vitreous._errors import HookError, UnknownNameError
from vitreous.hooks import (
    Ablate,
    ActivationPatch,
    AttentionMask,
    Batched,
    CausalMask,
    Edit,
    Freeze,
    KnockOut,
    Means,
    ShiftPeak,
    Steer,
    SwapSubspace,
    load_interventions,
    save_interventions,
    site,
)

MODEL, IMAGES = build(THREE), images_for(THREE, 3)
OTHER = MODEL.run_with_cache(images_for(THREE, 3, seed=9))[1]
Z = "blocks.1.attn.hook_z"
AXES = {Z: MODEL.axes(Z), "blocks.1.attn.hook_pattern": MODEL.axes("blocks.1.attn.hook_pattern")}


def doubled(values, hook):
    return values * 2


def value_under(intervention, name=Z):
    with MODEL.intervene(intervention):
        _, cache = MODEL.run_with_cache(IMAGES)
    return cache[name]


def plain(name=Z):
    return MODEL.run_with_cache(IMAGES)[1][name]


def means_of(name, by=None):
    value = OTHER[name]
    kept = {
        None: lambda: value.mean((0, MODEL.axes(name).index("token"))),
        "position": lambda: value.mean(0),
        "label": lambda: value.mean(1),
    }[by]()
    return Means({name: kept}, by, {name: MODEL.axes(name)}, 3, "three other images")


# ---- kinds


def test_zero_ablation_puts_zeros_at_the_site_alone():
    value, expected = value_under(Ablate("L1H0", "zero")), plain()
    expected[:, :, 0] = 0
    assert_equal(value, expected)


def test_mean_ablation_puts_the_mean_of_the_reference_there():
    value, expected = value_under(Ablate("L1H0", "mean", means_of(Z))), plain()
    expected[:, :, 0] = OTHER[Z].mean((0, 1))[0]
    assert_equal(value, expected)


def test_mean_ablation_by_position_keeps_tokens_apart():
    where = site("L1H1", positions=[2, 5])
    value, expected = value_under(Ablate(where, "mean", means_of(Z, "position"))), plain()
    expected[:, [2, 5], 1] = OTHER[Z].mean(0)[[2, 5], 1]
    assert_equal(value, expected)


def test_mean_ablation_by_label_takes_the_mean_of_each_images_label():
    reference = means_of(Z, "label")  # the three images stand for three labels here
    value = value_under(Ablate("L1H0", "mean", reference, labels=(2, 0, 2)))
    assert_equal(value[:, 4, 0], OTHER[Z].mean(1)[[2, 0, 2], 0])


def test_mean_ablation_by_label_needs_a_label_per_image():
    reference = means_of(Z, "label")
    for labels, got in ((None, None), ((0, 1), 2)):
        ablation = Ablate("L1H0", "mean", reference, labels=labels)
        with pytest.raises(ValueError, match=f"one label per image .* got {got} for 3 images"):
            value_under(ablation)


def test_a_label_without_a_mean_raises():
    for labels in ((0, 1, 3), (0, -1, 0)):
        ablation = Ablate("L1H0", "mean", means_of(Z, "label"), labels=labels)
        with pytest.raises(ValueError, match=r"`labels` must lie in 0\.\.2, as those of the means"):
            value_under(ablation)


def test_resampling_puts_whole_values_of_other_images_there_reproducibly():
    def drawn(seed):
        value = value_under(Ablate("L1H0", "resample", OTHER, seed=seed))
        assert_equal(value[:, :, 1], plain()[:, :, 1])
        return [
            [torch.equal(v[:, 0], other[:, 0]) for other in OTHER[Z]].index(True) for v in value
        ]

    assert drawn(4) == drawn(4)
    assert len({tuple(drawn(seed)) for seed in range(8)}) > 1


def test_patching_puts_values_of_another_run_there():
    for source in (OTHER, OTHER[Z]):
        value, expected = (
            value_under(ActivationPatch(site("L1H1", positions="cls"), source)),
            plain(),
        )
        expected[:, 0, 1] = OTHER[Z][:, 0, 1]
        assert_equal(value, expected)


def test_one_row_patches_every_image():
    value = value_under(ActivationPatch(Z, OTHER[Z][1:2]))
    assert_equal(value, OTHER[Z][1:2].expand(3, -1, -1, -1))


def test_steering_adds_so_much_of_a_direction():
    direction = random_like(torch.empty(8, dtype=torch.float64))
    name = "blocks.0.hook_resid_post"
    value = value_under(Steer(site(name, positions="patches"), direction, -2.5), name)
    expected = plain(name)
    expected[:, 1:] -= 2.5 * direction
    assert_equal(value, expected)


def test_an_edit_gets_the_values_of_its_site():
    seen = []
    value_under(Edit(site("L1H0", positions=(0, 2)), lambda v, hook: seen.append(v.shape) or v))
    assert seen == [(3, 1, 1, 4)]
    expected = plain()
    expected[:, :, 0] *= 2
    assert_equal(value_under(Edit("L1H0", doubled)), expected)


def test_an_edit_may_work_in_place_and_return_nothing():
    def zero(values, hook):
        values.zero_()

    assert torch.equal(value_under(Edit("L1H0", zero)), value_under(Ablate("L1H0", "zero")))
    assert torch.equal(value_under(Edit(Z, zero)), torch.zeros_like(plain()))


def test_interventions_at_one_site_act_in_their_order():
    value = value_under([Edit(Z, doubled), Steer(Z, torch.ones(4).double()), Edit(Z, doubled)])
    assert_equal(value, (plain() * 2 + 1) * 2)


def test_interventions_on_one_layer_are_seen_by_later_ones():
    with MODEL.intervene([Ablate("L0A", "zero"), Ablate("L0M", "zero")]):
        _, cache = MODEL.run_with_cache(IMAGES)
    assert_equal(cache["resid_pre", 1], cache["hook_full_embed"])


def test_interventions_are_values():
    assert Ablate("L1H0", "zero") == Ablate("L1H0", "zero") != Ablate("L1H1", "zero")
    assert "L1H0" in repr(Ablate("L1H0", "zero"))


def test_the_highest_value_over_tokens_moves_to_those_named():
    name = "blocks.1.mlp.hook_post"
    value = value_under(ShiftPeak("L1N3", [0, 2]), name)
    expected = plain(name)
    others = [1, 3, 4, 5, 6]
    expected[..., 3] = 0
    expected[:, [0, 2], 3] = plain(name)[:, others, 3].amax(1)[:, None]
    assert_equal(value, expected)


# ---- refusals


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Ablate(Z, "mean"), TypeError, "must be `Means` .* got NoneType"),
        (lambda: Ablate(Z, "mean", OTHER), TypeError, "must be `Means` .* got TransformerCache"),
        (lambda: Ablate(Z, "resample"), TypeError, "must be a cache or a tensor .* got NoneType"),
        (lambda: Ablate("L0H1", "mean", means_of(Z)), UnknownNameError, "No mean is named"),
        (lambda: Steer(Z, torch.ones(3)), ValueError, "`direction` must have width 4 .* got 3"),
        (lambda: ActivationPatch(Z, OTHER[Z][:2]), ValueError, r"must fit .*; got \[2, 7,"),
        (lambda: ActivationPatch("nothing", OTHER), UnknownNameError, "No hook point is named"),
    ],
)  # fmt: skip
def test_what_can_not_be_done_raises(make, error, says):
    with pytest.raises(error, match=says):
        value_under(make())


def test_an_intervention_that_the_pass_does_not_reach_raises():
    stopped = MODEL.intervene(Ablate("L2H0", "zero"))
    with pytest.raises(HookError, match="the pass didn't come by"), stopped:
        MODEL(IMAGES, stop_at_layer=1)


# ---- on disk

SEVERAL = [
    Ablate("L1H0", "zero"),
    Ablate(site("L1H1", positions=(1, 2)), "mean", means_of(Z, "position")),
    Ablate(Z, "resample", OTHER, seed=3),
    ActivationPatch(site("L0M", positions=[0, 2]), OTHER),
    Steer(site("L1A", positions=torch.arange(7) > 3), torch.arange(8.0).double(), 0.5),
    Edit(site("blocks.0.attn.hook_pattern", head=1, keys="cls"), doubled),
    Ablate("L1H0", "mean", means_of(Z, "label"), labels=(1, 0, 2)),
    ActivationPatch.denoise("L1H0", OTHER),
    ActivationPatch.noise(
        site("L0M", positions=(0, 2)), {"blocks.0.hook_mlp_out": OTHER["blocks.0.hook_mlp_out"]}
    ),
    SwapSubspace(site("L1A", positions=[1, 4]), random_like(torch.empty(2, 8).double()), OTHER),
    KnockOut("cls", "patches", layers=[0, -1], heads=1),
    KnockOut((0, 1), np.arange(7) % 2 == 0, both_ways=True),
    KnockOut([2, 3], "patches", spare_self=True),
    AttentionMask(torch.ones(7, 7).triu(1).bool(), layers=1),
    CausalMask(),
    CausalMask([5, 3, 1, 0, 2, 4], {"cls": "free"}, heads=[0]),
    Freeze(OTHER),
    Freeze(OTHER, ["patterns", "blocks.1.hook_resid_mid"], layers=-1, positions="patches"),
    Freeze({"blocks.1.hook_resid_mid": OTHER["resid_mid", 1]}, "blocks.1.hook_resid_mid"),
    ShiftPeak(site("blocks.1.mlp.hook_post", neuron=[1, 3]), "cls"),
]


def test_saved_interventions_do_what_they_did(tmp_path):
    save_interventions(SEVERAL, tmp_path / "these.json", MODEL)
    loaded = load_interventions(tmp_path / "these.json")
    assert len(loaded) == len(SEVERAL)
    for mine, theirs in zip(SEVERAL, loaded, strict=True):
        with MODEL.intervene(mine):
            expected = MODEL(IMAGES)
        with MODEL.intervene(theirs):
            assert torch.equal(MODEL(IMAGES), expected), mine
        assert (MODEL(IMAGES) - expected).abs().max() > 1e-6, mine
        assert type(theirs) is type(mine)
    assert not list(tmp_path.glob("*.part"))


def test_saved_batches_do_what_they_did(tmp_path):
    batched = Batched.of([SEVERAL[0], [], [SEVERAL[3], SEVERAL[5]], *SEVERAL[6:]])
    images = IMAGES.repeat(len(batched.groups), 1, 1, 1)
    save_interventions([batched], tmp_path / "these.json", MODEL)
    [loaded] = load_interventions(tmp_path / "these.json")
    with MODEL.intervene(batched):
        expected = MODEL(images)
    with MODEL.intervene(loaded):
        assert torch.equal(MODEL(images), expected)


def test_every_kind_acts_on_its_part_of_a_batch():
    groups = [[], *SEVERAL]
    with MODEL.intervene(Batched.of(groups)):
        together = MODEL(IMAGES.repeat(len(groups), 1, 1, 1)).chunk(len(groups))
    assert_equal(together[0], MODEL(IMAGES))
    for mine, part in zip(SEVERAL, together[1:], strict=True):
        assert_equal(part, value_under(mine, "hook_post_head_pre_normalize"), repr(mine))


def test_every_kind_prints_on_one_line():
    for each in SEVERAL:
        assert repr(each).startswith(type(each).__name__ + "(") and "tensor(" not in repr(each)
        assert "\n" not in repr(each) and len(repr(each)) < 200


def test_long_selections_print_short():
    mask = torch.arange(196).view(14, 14) % 3 == 0
    assert repr(KnockOut("cls", mask)) == "KnockOut(queries='cls', keys=<66 of 14 x 14>)"
    assert repr(Ablate(site("L0M", positions=mask), "zero")) == (
        "Ablate(L0M[positions=<66 of 14 x 14>], method='zero')"
    )
    assert repr(CausalMask(range(196))) == "CausalMask(order=(0, 1, 2, 3, ... 196 in all))"


def test_a_saved_patch_keeps_its_direction(tmp_path):
    save_interventions([ActivationPatch.noise("L1H0", OTHER)], tmp_path / "these.json", MODEL)
    [loaded] = load_interventions(tmp_path / "these.json")
    assert loaded.direction == "noise"


def test_a_kind_of_ones_own_is_not_saved(tmp_path):
    class Doubling(Steer):
        pass

    with pytest.raises(TypeError, match="of this library to be saved; got Doubling"):
        save_interventions([Doubling("L0M", torch.ones(8))], tmp_path / "these.json", MODEL)
    assert list(tmp_path.iterdir()) == []


def test_equal_tensors_are_saved_once(tmp_path):
    direction = torch.arange(8.0).double()
    twice = [Steer("L0M", direction), Steer("L1M", direction.clone())]
    save_interventions(twice, tmp_path / "these.json", MODEL)
    entries = json.loads((tmp_path / "these.json").read_text())["interventions"]
    assert entries[0]["direction"] == entries[1]["direction"]


def test_a_tensor_that_was_tampered_with_is_refused(tmp_path):
    save_interventions([Steer("L0M", torch.ones(8))], tmp_path / "these.json", MODEL)
    beside = tmp_path / "these.json.safetensors"
    save_file({name: value * 2 for name, value in load_file(beside).items()}, beside)
    with pytest.raises(ValueError, match=r"beside `these\.json` must have that hash"):
        load_interventions(tmp_path / "these.json")


def test_a_function_without_an_importable_name_is_refused(tmp_path):
    for function in (lambda values, hook: values, doubled.__get__(3)):
        with pytest.raises(ValueError, match="can be imported by name to be saved; got"):
            save_interventions([Edit(Z, function)], tmp_path / "these.json", MODEL)
    assert list(tmp_path.iterdir()) == []
