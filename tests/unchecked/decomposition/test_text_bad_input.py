"""What methods over data sets, texts and weights say of input that can't be."""

import sys

import pytest
import torch

from tests.decomposition.zero_shot import random_classifier
from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous._errors import MissingDependencyError
from vitreous.data import Images
from vitreous.decomposition import (
    composition_scores,
    group_accuracies,
    head_outputs,
    mean_ablation_curve,
    neuron_patches,
    neuron_reads,
    neuron_writes,
    ov_circuits,
    rank_spurious_heads,
    remove_heads,
    singular_directions,
    sparse_text_code,
    text_span,
    zero_shot_segmentation,
)
from vitreous.models import HookedCLIP

VECTORS, BANK = torch.randn(6, 4), torch.randn(5, 4)


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def images():
    return random_images(4)


def raises(message, error=ValueError):
    return pytest.raises(error, match=message)


class TestHeadOutputs:
    def test_a_layer_or_head_that_there_isnt(self, model, images):
        with raises(r"`layer` must lie in 0\.\.2; got 3"):
            head_outputs(model, images, 3)
        with raises(r"`head` must lie in 0\.\.3; got 9"):
            head_outputs(model, images, 0, 9)

    def test_an_unknown_space(self, model, images):
        with raises("`space` must be 'outputs' or 'features'; got 'logits'"):
            head_outputs(model, images, space="logits")

    def test_no_images(self, model, images):
        with raises("`images` must hold an image; got none"):
            head_outputs(model, images[:0])

    def test_features_of_two_heads(self):
        model = random_model(**READOUTS["distillation"])
        with raises("What heads read must be one vector; got a model with two heads"):
            head_outputs(model, random_images(), space="features")

    def test_a_model_that_pools_nothing(self):
        from vitreous.models import PoolingConfig

        with raises("A readout needs one vector per image; got pooling 'none'"):
            head_outputs(random_model(pooling=PoolingConfig("none")), random_images())

    def test_images_that_are_not_numbers(self, model, images):
        with raises("`head_outputs` must be finite; got"):
            head_outputs(model, images * torch.nan)


class TestTexts:
    @pytest.mark.parametrize("method", [text_span, sparse_text_code])
    def test_a_bank_of_another_width(self, method):
        with raises(r"`bank` must hold one row of width 4 per text; got shape \[5, 3\]"):
            method(VECTORS, BANK[:, :3])

    @pytest.mark.parametrize("method", [text_span, sparse_text_code])
    def test_too_few_names(self, method):
        with raises("`texts` must name every row of the bank; got 1 for 5"):
            method(VECTORS, BANK, texts=["a"])

    @pytest.mark.parametrize("method", [text_span, sparse_text_code])
    def test_values_that_are_not_numbers(self, method):
        with raises("`outputs` must be finite; got 24 of 24"):
            method(VECTORS * torch.nan, BANK)

    def test_no_vectors(self):
        with raises("There must be vectors of images; got none"):
            text_span(VECTORS[:0], BANK)

    def test_vectors_that_do_not_vary(self):
        with raises("`outputs` must vary from image to image; got 6 that are all the same"):
            text_span(torch.ones(6, 4), BANK)
        with raises("got 1 that are all the same"):
            text_span(VECTORS[:1], BANK)

    def test_a_bank_that_explains_nothing(self):
        outputs = VECTORS.clone()
        outputs[:, 3] = 0
        with raises("`bank` must hold a text along which the vectors vary; got none"):
            text_span(outputs, torch.eye(4)[3:])

    def test_no_texts_asked_for(self):
        with raises("`k` and `rank` must be at least 1; got 0 and None"):
            text_span(VECTORS, BANK, 0)

    def test_an_unknown_method(self):
        with raises("`method` must be 'lasso' or 'omp'; got 'admm'"):
            sparse_text_code(VECTORS, BANK, method="admm")

    @pytest.mark.parametrize("penalty", [0, -1])
    def test_a_penalty_that_is_none(self, penalty):
        with raises(f"`penalty` must be positive; got {penalty}"):
            sparse_text_code(VECTORS, BANK, penalty=penalty)

    @pytest.mark.parametrize("n_texts", [0, 5])
    def test_more_texts_than_are_independent(self, n_texts):
        with raises(rf"`n_texts` must lie in 1\.\.4, .*; got {n_texts}"):
            sparse_text_code(VECTORS, BANK, method="omp", n_texts=n_texts)

    def test_a_single_embedding_to_center(self):
        with raises("The mean of images must be known to center one; got a single embedding"):
            sparse_text_code(VECTORS[:1], BANK)

    def test_scikit_learn_is_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
        monkeypatch.setitem(sys.modules, "sklearn", None)
        with raises(r"`sparse_text_code` needs sklearn.*vitreous\[ml\]", MissingDependencyError):
            sparse_text_code(VECTORS, BANK)


class TestMeanAblation:
    def test_neither_labels_nor_a_target(self, model, images):
        with raises("A target or labels must be given; got neither"):
            mean_ablation_curve(model, images)
        with raises("Accuracy needs the images' labels; got none"):
            mean_ablation_curve(model, Images.from_tensor(images))

    def test_too_few_labels(self, model, images):
        with raises("`labels` must have one entry per image, 4; got 2"):
            mean_ablation_curve(model, images, labels=[0, 1])

    def test_mlps_of_a_model_without(self, images):
        alone = random_model(d_mlp=None)
        with raises("`of` must be 'attn' or 'mlp', and there; got an attention-only model"):
            mean_ablation_curve(alone, images, 0, of="mlp")

    def test_something_else_than_layers(self, model, images):
        with raises("`of` must be 'attn' or 'mlp', and there; got 'head'"):
            mean_ablation_curve(model, images, 0, of="head")

    def test_a_model_without_classes(self, images):
        clip = HookedCLIP.__new__(HookedCLIP)
        with raises("`model` must have classes; got HookedCLIP", TypeError):
            mean_ablation_curve(clip, images, 0)


class TestSpuriousHeads:
    def test_groups_of_other_images(self, model, images):
        with raises("`groups` must have one entry per image, 4; got 3"):
            group_accuracies(model, images, [0, 1, 0], labels=[0] * 4)
        with raises("`groups` must have one entry per image, 4; got 3"):
            rank_spurious_heads(model, images, [0, 1, 0], labels=[0] * 4)

    def test_no_labels(self, model, images):
        with raises("Accuracy needs the images' labels; got none"):
            rank_spurious_heads(model, images, [0, 1, 0, 1])

    def test_no_heads_to_rank(self, model, images):
        with raises("`most` must be at least 1; got 0"):
            rank_spurious_heads(model, images, [0] * 4, labels=[0] * 4, most=0)
        with raises("`tries` must be at least 1; got 0"):
            rank_spurious_heads(model, images, [0] * 4, labels=[0] * 4, tries=0)

    def test_an_unknown_method(self, model, images):
        with raises("`method` must be 'direct' or 'ablate'; got 'zero'"):
            remove_heads(model, ["L0H0"], images, method="zero")

    @pytest.mark.parametrize("head", ["L3H0", "L0H4", (0, 4), "L0M", "H1"])
    def test_a_head_that_there_isnt(self, model, images, head):
        with raises(r"`heads` must lie in L0H0\.\.L2H3; got"):
            remove_heads(model, [head], images)

    def test_no_images_to_take_the_mean_of(self, model, images):
        with raises("`images` must hold an image; got none"):
            remove_heads(model, ["L0H0"], images[:0])


class TestSegmentation:
    def test_a_class_that_there_isnt(self, model, images):
        with raises(r"A class must lie in 0\.\.4; got 7"):
            zero_shot_segmentation(model, images, 7)

    def test_a_mean_of_texts_that_nobody_named(self, images):
        clip = HookedCLIP.__new__(HookedCLIP)
        with raises("Classes must be known to subtract their mean; got a model of images and"):
            zero_shot_segmentation(clip, images, "a cat")

    def test_a_function(self, model, images):
        with raises("need a target that is linear in the output"):
            zero_shot_segmentation(model, images, lambda logits: logits[:, 0])


class TestWeights:
    def test_a_layer_or_head_that_there_isnt(self, model):
        with raises(r"`layer` must lie in 0\.\.2; got 5"):
            neuron_writes(model, layer=5)
        with raises(r"`head` must lie in 0\.\.3; got 4"):
            singular_directions(model, 0, 4)

    def test_unknown_words(self, model):
        with raises("`circuit` must be 'OV' or 'QK'; got 'VO'"):
            singular_directions(model, 0, 0, "VO")
        with raises("`kind` must be 'Q', 'K' or 'V'; got 'O'"):
            composition_scores(model, "O")

    def test_neurons_of_attention_alone(self):
        alone = random_model(d_mlp=None)
        for method in (neuron_writes, neuron_reads, neuron_patches):
            with raises("Neurons need MLPs; got an attention-only model"):
                method(alone)

    def test_a_bank_of_another_width(self):
        tower = random_classifier().image
        with raises(r"`bank` must hold one row of width 6 per text; got shape \[5, 4\]"):
            ov_circuits(tower, bank=BANK)
        with raises("`texts` must name every row of the bank; got 2 for 5"):
            ov_circuits(tower, bank=torch.randn(5, 6), texts=["a", "b"])

    @pytest.mark.parametrize(
        "readout", ["distillation", "attention pooling", "class token and mean side by side"]
    )
    def test_a_head_without_one_direction_per_class(self, readout):
        with raises("`direction` exists where one vector suffices"):
            ov_circuits(random_model(**READOUTS[readout]))


def test_clips_go_where_images_go():
    model = random_model(**READOUTS["clips, attention over time and over space"])
    clips = images_of(model, 3)
    assert head_outputs(model, clips).shape == (3, 3, 4, 5)
    assert remove_heads(model, ["L0H0"], clips)(clips).shape == (3, 5)
