"""A head that writes a cue is found, and without it the worst group is right."""

import numpy as np
import pytest
import torch

import vitreous as vt
from tests.decomposition.planted_cue import (
    CLASS_HEAD,
    CUE_HEAD,
    RELAYED_HEAD,
    planted_images,
    planted_model,
    relayed_model,
)
from tests.decomposition.zero_shot import random_classifier
from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.data import Images
from vitreous.decomposition import (
    direct_logit_shares,
    group_accuracies,
    head_outputs,
    rank_spurious_heads,
    remove_heads,
)
from vitreous.terrarium import Task
from vitreous.training import means

METHODS = ["direct", "ablate"]


@pytest.mark.parametrize("method", METHODS)
def test_the_planted_head_comes_first_and_is_the_only_one_chosen(method):
    model, (images, labels, groups) = planted_model(), planted_images()
    ranking = rank_spurious_heads(model, images, groups, labels=labels, most=3, method=method)
    chosen = ranking["component"][ranking["chosen"]].values.tolist()
    assert chosen == [f"L{CUE_HEAD[0]}H{CUE_HEAD[1]}"]
    assert ranking["worst_before"] == 0 and ranking["worst"][0] == 1
    assert ranking["average_before"] == 0.5 and ranking["average"][0] == 1


@pytest.mark.parametrize("method", METHODS)
def test_without_the_planted_head_other_images_of_the_worst_group_are_right(method):
    model, (images, labels, groups) = planted_model(), planted_images()
    before = group_accuracies(model, images, groups, labels=labels)
    removed = remove_heads(model, [CUE_HEAD], planted_images(5)[0], method=method)
    after = group_accuracies(removed, images, groups, labels=labels)
    assert before["worst"] == 0 and after["worst"] == 1
    assert before["accuracy"].sel(group="0 1") == 0 and after["accuracy"].sel(group="0 1") == 1


def test_a_head_that_carries_the_cue_varies_with_it_and_not_with_the_class():
    model, (images, labels, groups) = planted_model(), planted_images()
    ranking = rank_spurious_heads(model, images, groups, labels=labels)
    of_cue, of_class = (
        ranking[["cue_share", "label_share"]].sel(layer=layer, head=head)
        for layer, head in (CUE_HEAD, CLASS_HEAD)
    )
    assert of_cue["cue_share"] > 0.95 and of_cue["label_share"] < 0.01
    assert of_class["label_share"] > 0.95 and of_class["cue_share"] < 0.01
    alone = ranking["worst_alone"]
    assert alone.sel(layer=CUE_HEAD[0], head=CUE_HEAD[1]) == 1
    assert (alone == 1).sum() == 1


@pytest.mark.parametrize("readout", READOUTS)
def test_removing_directly_exchanges_the_shares_of_the_heads_for_their_means(readout):
    model = random_model(**READOUTS[readout])
    images, others = images_of(model, 3), images_of(model, 4, seed=8)
    removed = remove_heads(model, ["L0H1", (2, 3)], others)
    for output in range(5):
        said, usual = (
            direct_logit_shares(model, x, output, by="head").sel(component=["L0H1", "L2H3"])
            for x in (images, others)
        )
        gone = (said - usual.mean("image")).sum("component")
        expected = model(images)[:, output].detach() - torch.from_numpy(gone.values)
        torch.testing.assert_close(removed(images)[:, output], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("readout", READOUTS)
def test_ablating_exchanges_what_heads_have_read_for_its_mean_at_each_position(readout):
    model = random_model(**READOUTS[readout])
    images, others = images_of(model, 3), images_of(model, 4, seed=8)
    removed = remove_heads(model, ["L0H1", "L2H3"], others, method="ablate")
    _, cache = model.run_with_cache(others)

    def exchange(head):
        def edit(z, hook):
            z[:, :, head] = cache[hook.name].mean(0)[:, head]

        return edit

    hooks = [(("z", 0), exchange(1)), (("z", 2), exchange(3))]
    expected = model.run_with_hooks(images, fwd_hooks=hooks)
    torch.testing.assert_close(removed(images), expected, rtol=1e-4, atol=1e-4)  # means are float32
    with model.intervene(removed.interventions):
        torch.testing.assert_close(model(images), removed(images))


@pytest.mark.parametrize("given", ["the images", "others"])
@pytest.mark.parametrize("method", METHODS)
def test_the_ranking_foretells_what_removing_does(method, given):
    model, images = random_model(), random_images(40)
    reference = images if given == "the images" else random_images(9, seed=4)
    options = {} if given == "the images" else {"reference": reference}
    labels = torch.arange(40) % 5
    groups = list(zip(labels.tolist(), [i % 2 for i in range(40)], strict=True))
    ranking = rank_spurious_heads(
        model, images, groups, labels=labels, most=4, method=method, **options
    )
    for count in (1, 4):
        heads = ranking["component"].values[:count]
        removed = remove_heads(model, heads, reference, method=method)
        found = group_accuracies(removed, images, groups, labels=labels)
        assert found["worst"] == ranking["worst"][count - 1]
        assert found["average"] == ranking["average"][count - 1]


@pytest.mark.parametrize("tries", [1, None])
def test_a_cue_that_an_mlp_reads_is_found_in_the_pass(tries):
    model, (images, labels, groups) = relayed_model(), planted_images()
    ranking = rank_spurious_heads(
        model, images, groups, labels=labels, most=2, method="ablate", tries=tries
    )
    chosen = ranking["component"][ranking["chosen"]].values.tolist()
    assert chosen == ["L{}H{}".format(*RELAYED_HEAD)]
    assert ranking["worst_before"] == 0 and ranking["worst"][0] == 1
    directly = rank_spurious_heads(model, images, groups, labels=labels, most=6)
    assert directly["worst"].max() == 0 and not directly["chosen"].any()


def test_a_removed_head_says_what_it_says_of_the_reference():
    model, (images, labels, groups) = planted_model(), planted_images()
    cues = torch.tensor([cue for _, cue in groups])
    biased = images[
        cues == 1
    ]  # a mean that says the cue, so cue 0 misleads no more, but cue 1 does
    for method in METHODS:
        removed = remove_heads(model, [CUE_HEAD], biased, method=method)
        found = group_accuracies(removed, images, groups, labels=labels)
        assert found["accuracy"].sel(group="0 0") == 0 == found["worst"]
        ranking = rank_spurious_heads(
            model, images, groups, labels=labels, most=1, method=method, reference=biased
        )
        alone = ranking["worst_alone"].sel(layer=CUE_HEAD[0], head=CUE_HEAD[1])
        assert alone == 0 and not ranking["chosen"].any()


@pytest.mark.parametrize("readout", READOUTS)
def test_a_single_try_is_the_head_with_the_steepest_slope(readout):
    model = random_model(**READOUTS[readout])
    images, others = images_of(model, 6), images_of(model, 3, seed=8)
    labels, groups = torch.arange(6) % 5, torch.arange(6) % 2
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(3)]
    usual = means(model, others, names, by="position")

    def least(name, head, amount):
        def edit(z, hook):
            z[:, :, head] += amount * (usual.at(name).to(z) - z)[:, :, head]

        logits = model.run_with_hooks(images, fwd_hooks=[(name, edit)])
        true = logits.log_softmax(-1)[torch.arange(6), labels]
        return min(true[groups == g].mean().item() for g in (0, 1))

    slopes = [
        least(name, head, 1e-5) - least(name, head, -1e-5) for name in names for head in range(4)
    ]
    ranking = rank_spurious_heads(
        model, images, groups, labels=labels, most=1, method="ablate", reference=others, tries=1
    )
    steepest = int(np.argmax(slopes))
    assert ranking["component"].item() == f"L{steepest // 4}H{steepest % 4}"
    assert ranking["worst_alone"].isnull().sum() == 11


def test_each_step_is_the_best_of_all():
    model, images = random_model(), random_images(60)
    labels = model(images).argmax(-1)
    groups = [i % 3 for i in range(60)]
    said, logits = head_outputs(model, images).flatten(1, 2), model(images).detach()
    said = said - said.mean(0)
    worst, least = [], []
    for head in range(12):
        without = logits - said[:, head]
        right = (without.argmax(-1) == labels).double()
        true = without.log_softmax(-1)[torch.arange(60), labels]
        worst.append(min(right[g::3].mean().item() for g in range(3)))
        least.append(min(true[g::3].mean().item() for g in range(3)))
    ranking = rank_spurious_heads(model, images, groups, labels=labels, most=1)
    best = int(np.argmax(least))
    assert ranking["component"].item() == f"L{best // 4}H{best % 4}"
    assert ranking["worst"].item() == pytest.approx(worst[best])
    np.testing.assert_allclose(ranking["worst_alone"].values.ravel(), worst)


def test_accuracies_by_group_are_counted():
    model, images = random_model(), random_images(30)
    labels, groups = torch.arange(30) % 5, [f"g{i % 4}" for i in range(30)]
    right = (model(images).argmax(-1) == labels).tolist()
    by_hand = {
        name: [r for r, g in zip(right, groups, strict=True) if g == name] for name in set(groups)
    }
    data = Images.from_tensor(images, labels, batch_size=7)
    found = group_accuracies(model, data, groups)
    for name, each in by_hand.items():
        assert found["accuracy"].sel(group=name).item() == pytest.approx(sum(each) / len(each))
        assert found["count"].sel(group=name) == len(each)
    assert found["worst"] == min(sum(each) / len(each) for each in by_hand.values())
    assert found["average"].item() == pytest.approx(sum(right) / 30)


@pytest.mark.parametrize("method", METHODS)
def test_heads_of_a_zero_shot_classifier_are_removed_from_its_embedding(method):
    classifier, images = random_classifier(), random_images(6)
    removed = remove_heads(classifier, ["L1H0"], images, method=method)(images)
    if method == "direct":
        said = head_outputs(classifier, images, 1, 0)
        expected = classifier.logits(classifier.image(images) - said + said.mean(0))
    else:
        whose = means(classifier.image, images, "blocks.1.attn.hook_z", by="position")
        mean = whose.at("blocks.1.attn.hook_z").double()

        def edit(z, hook):
            z[:, :, 0] = mean[:, 0]

        with classifier.image.hooks(fwd_hooks=[(("z", 1), edit)]):
            expected = classifier(images)
    torch.testing.assert_close(removed, expected, rtol=1e-10, atol=1e-10)
    ranking = rank_spurious_heads(classifier, images, [0, 1] * 3, labels=[0] * 6, most=2)
    assert ranking.sizes["component"] == 2


def test_a_head_of_the_first_layer_reads_the_words_of_the_typographic_model():
    model, scenes = vt.load("terrarium-typographic"), {}
    for word in ("none", "misleading"):
        task = Task("typographic", "validation", word=word)
        scenes[word] = next(iter(task.images(count=70, batch_size=70)))
    pixels, labels = (
        torch.cat([getattr(batch, field) for batch in scenes.values()])
        for field in ("pixels", "labels")
    )
    words, without = ["none"] * 70 + ["misleading"] * 70, scenes["none"].pixels
    options = {"labels": labels, "method": "ablate", "reference": without}
    ranking = rank_spurious_heads(model, pixels, words, most=1, tries=2, **options)
    assert ranking["component"].item() == "L0H3"
    assert ranking["worst"].item() > ranking["worst_before"] + 0.1


def test_nothing_removed_is_the_model_itself():
    model, images = random_model(), random_images()
    assert torch.equal(remove_heads(model, [], images)(images), model(images))
