"""Small sets of heads that flip the prediction."""

import itertools

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.data import Images
from vitreous.hooks import ActivationPatch, site
from vitreous.patching import find_switch, switch_generality
from vitreous.terrarium import compiled_model


def patched_by_hand(model, base, other, members):
    """Heads of one run in the other, one intervention each."""
    _, cache = model.run_with_cache(other)
    sites = [site(f"blocks.{layer}.attn.hook_z", head=head) for layer, head in members]
    with torch.no_grad(), model.intervene([ActivationPatch(each, cache) for each in sites]):
        return model(base)


def members_of(switches, pair):
    return [tuple(int(i) for i in place) for place in np.argwhere(switches.member[pair].values)]


def differing(model, count=6):
    """A difference of classes, and pairs on which it has another sign."""
    images = images_of(model, 40)
    with torch.no_grad():
        logits = model(images)
    for classes in itertools.combinations(range(5), 2):
        target = model.target(classes[0], minus=classes[1])
        positive = target(logits) > 0
        both = min(count, int(positive.sum()), int((~positive).sum()))
        if both > 1:
            return target, images[positive][:both], images[~positive][:both]
    raise AssertionError("a random model that always says the same")


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        *((name, "denoise") for name in READOUTS),
        ("class token", "noise"),
        ("distillation", "noise"),
    ],
)
def test_a_switch_flips_and_no_member_can_be_dropped(name, direction):
    model = random_model(**READOUTS[name])
    target, clean, corrupt = differing(model, 3)
    switches = find_switch(
        model, clean, corrupt, target, direction=direction, enumerate_up_to=0, max_batch=50
    )
    base, other = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
    sign = 1 if direction == "denoise" else -1
    for pair in range(len(clean)):
        rows = slice(pair, pair + 1)
        members = members_of(switches, pair)
        by_hand = target(patched_by_hand(model, base[rows], other[rows], members)) if members else 0
        if not members:
            assert switches.switch[pair] == "none"
            continue
        torch.testing.assert_close(
            by_hand.item(), float(switches.after[pair]), rtol=1e-10, atol=1e-10
        )
        assert sign * by_hand > 0
        for left_out in members:
            rest = [each for each in members if each != left_out]
            logits = patched_by_hand(model, base[rows], other[rows], rest)
            assert sign * target(logits) <= 0


def test_what_is_called_smallest_is_smallest_by_enumeration():
    model = random_model(seed=3)
    target, clean, corrupt = differing(model, 4)
    switches = find_switch(model, clean, corrupt, target, enumerate_up_to=10**4)
    heads = list(itertools.product(range(3), range(4)))
    assert switches.is_smallest.all() and (switches["size"] > 1).any()
    for pair, size in enumerate(switches["size"].values):
        rows = slice(pair, pair + 1)
        for members in itertools.combinations(heads, int(size) - 1):
            logits = patched_by_hand(model, corrupt[rows], clean[rows], members)
            assert target(logits) <= 0


def test_positions_are_found_one_by_one():
    model = random_model()
    target, clean, corrupt = differing(model, 2)
    switches = find_switch(model, clean, corrupt, target, over="heads_and_positions")
    assert switches.member.dims == ("pair", "layer", "head", "token")
    _, cache = model.run_with_cache(clean)
    for pair, places in enumerate(switches.member.values):
        patches = [
            ActivationPatch(
                site(f"blocks.{layer}.attn.hook_z", head=int(head), positions=[int(token)]),
                cache[f"blocks.{layer}.attn.hook_z"][pair : pair + 1],
            )
            for layer, head, token in np.argwhere(places)
        ]
        assert len(patches) == switches["size"][pair] > 0
        with torch.no_grad(), model.intervene(patches):
            value = target(model(corrupt[pair : pair + 1]))
        assert value > 0
        torch.testing.assert_close(
            value.item(), float(switches.after[pair]), rtol=1e-10, atol=1e-10
        )


def test_without_a_target_the_predicted_class_flips():
    model = random_model()
    images = random_images(30)
    with torch.no_grad():
        predicted = model(images).argmax(1)
    clean, corrupt = images[predicted == predicted[0]][:4], images[predicted != predicted[0]][:4]
    switches = find_switch(model, clean, corrupt)
    for pair in np.flatnonzero(switches["size"].values):
        rows = slice(pair, pair + 1)
        logits = patched_by_hand(model, corrupt[rows], clean[rows], members_of(switches, pair))
        assert logits.argmax(1) == predicted[0]
    assert (switches["size"] > 0).any()


def test_one_corrupt_image_and_data_sets_stand_for_batches_of_pairs():
    model = random_model()
    images = random_images(30)
    with torch.no_grad():
        predicted = model(images).argmax(1)
    clean, corrupt = images[predicted == predicted[0]][:3], images[predicted != predicted[0]][:1]
    whole = find_switch(model, clean, corrupt.expand(3, -1, -1, -1))
    assert find_switch(model, clean, corrupt).equals(whole)
    streamed = find_switch(model, Images.from_tensor(clean, batch_size=2), corrupt)
    assert streamed.equals(whole)


def test_generality_is_what_each_switch_does_on_each_pair():
    model = random_model()
    target, clean, corrupt = differing(model)
    switches = find_switch(model, clean, corrupt, target)
    general = switch_generality(model, clean, corrupt, target, switches)
    for name, flips in zip(general.switch.values, general.flips.values, strict=True):
        pair = list(switches.switch.values).index(name)
        logits = patched_by_hand(model, corrupt, clean, members_of(switches, pair))
        assert flips.tolist() == (target(logits) > 0).tolist()
        assert general.flips.sel(switch=name)[pair]
    assert general.found_on.sum() == (switches["size"] > 0).sum()
    np.testing.assert_allclose(general.by_head, switches.member.mean("pair"))
    assert (np.diff(general.rate) <= 0).all()


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("asks", ["target", "prediction"])
def test_the_planted_switch_is_found_alone_on_every_pair(direction, asks):
    planted = compiled_model("switch")
    [head] = [edge.source for edge in planted.graph.edges() if edge.destination == "logits"]
    clean, corrupt = planted.pairs(6, seed=2)
    target = planted.target if asks == "target" else None
    switches = find_switch(planted.model, clean, corrupt, target, direction=direction)
    assert switches["is_smallest"].all()
    for pair in range(6):
        [(layer, number)] = members_of(switches, pair)
        assert f"a{layer}.h{number}" == head
