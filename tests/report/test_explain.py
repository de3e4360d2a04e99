"""The numbers of a report are those of the run, and the page opens for every kind of model."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from tests.decomposition.zero_shot import random_classifier
from tests.models.test_clip import towers
from tests.view.reading import UNREADY, next_frame, number, open_page, point_at
from vitreous._errors import HookError
from vitreous.data import ClassNames, Preprocessing
from vitreous.data import sample as picture_file
from vitreous.heads import score_heads
from vitreous.models import (
    HookedCLIP,
    HookedViT,
    HookedViTConfig,
    MapConfig,
    PoolingConfig,
    load,
)
from vitreous.report import _gather, explain
from vitreous.terrarium import render_image, sample, sample_scene
from vitreous.view import AttentionGallery

CONFIG = HookedViTConfig(
    n_layers=2, d_model=16, n_heads=2, d_mlp=32, image_size=(24, 32), patch_size=8, n_classes=5
)
VARIANTS = {
    "class token": CONFIG,
    "mean pooling": replace(CONFIG, cls_token=False, pooling=PoolingConfig("mean")),
    "norm after pooling": replace(
        CONFIG, cls_token=False, pooling=PoolingConfig("mean", norm_first=False)
    ),
    "registers": replace(CONFIG, n_registers=2),
    "distillation": replace(CONFIG, distillation_token=True),
    "attention only": replace(CONFIG, d_mlp=None),
    "two classes": replace(CONFIG, n_classes=2),
    "one class": replace(CONFIG, n_classes=1),
    "one patch": replace(CONFIG, image_size=(24, 32), patch_size=(24, 32)),
    "pooling by attention": replace(
        CONFIG, cls_token=False, pooling=PoolingConfig("map", map=MapConfig(2, 6, 10, d_mlp=12))
    ),
    "class token and mean": replace(CONFIG, pooling=PoolingConfig("cls_mean")),
}


def random_model(config=CONFIG, labels=None):
    torch.manual_seed(0)
    preprocessing = Preprocessing(image_size=(24, 32), mean=(0.5,) * 3, std=(0.25,) * 3)
    names = labels or tuple(f"thing {i}" for i in range(config.n_classes))
    model = HookedViT(config, labels=ClassNames(names), preprocessing=preprocessing)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def picture():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def outputs(model):
    with torch.no_grad():
        return model(model.preprocess(picture()))[0]


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.mark.parametrize("kind", ["class token", "one class", "one patch", "pooling by attention"])
def test_every_kind_of_model_has_a_report(kind, browser_page, tmp_path):
    explanation = explain(random_model(VARIANTS[kind]), picture())
    open_page(browser_page, explanation.page, tmp_path)
    assert browser_page.locator("[data-ready]").count() == 9
    assert browser_page.locator(UNREADY).count() == 0


@pytest.mark.parametrize("kind", VARIANTS)
def test_shares_add_up_to_the_target(kind):
    explanation = explain(random_model(VARIANTS[kind]), picture())
    evidence = explanation.evidence
    assert float(evidence.layer_shares.sum()) == pytest.approx(explanation.value, abs=1e-4)
    assert abs(evidence.residual) < 1e-4
    assert float(evidence.source_shares.sum()) == pytest.approx(explanation.value, abs=1e-4)


def test_the_default_target_is_the_top_prediction_minus_the_runner_up(model):
    logits = outputs(model)
    first, second = logits.topk(2).indices.tolist()
    explanation = explain(model, picture())
    assert explanation.target == f"thing {first} − thing {second}"
    assert explanation.value == pytest.approx(float(logits[first] - logits[second]), abs=1e-5)


def test_minus_none_explains_the_raw_logit(model):
    logits = outputs(model)
    explanation = explain(model, picture(), target="thing 3", minus="none")
    assert explanation.target == "thing 3"
    assert explanation.value == pytest.approx(float(logits[3]), abs=1e-5)


def test_the_rival_of_a_named_target_is_the_strongest_other_class(model):
    logits = outputs(model)
    first, last = int(logits.argmax()), int(logits.argmin())
    assert explain(model, picture(), target=last).target == f"thing {last} − thing {first}"


def test_a_model_of_one_class_has_no_rival():
    assert explain(random_model(VARIANTS["one class"]), picture()).target == "thing 0"


def test_the_prediction_is_named_with_its_probability(model):
    probabilities = outputs(model).softmax(-1)
    top = int(probabilities.argmax())
    expected = f"thing {top} ({100 * float(probabilities[top]):.1f}%)"
    assert explain(model, picture()).prediction == expected


def test_the_model_runs_once_and_the_sweep_apart(model):
    ran = []
    handle = model.embedding.register_forward_hook(lambda *_: ran.append(1))
    explain(model, picture())
    handle.remove()
    assert len(ran) == 1


def test_the_page_says_whose_mean_stands_in(model, browser_page, tmp_path):
    open_page(browser_page, explain(model, picture()).page, tmp_path)
    note = browser_page.locator("section").last.locator(".note").inner_text()
    assert note.startswith("Whose mean: ") and "this image's own tokens" in note


def test_heads_that_a_page_cannot_hold_are_left_out_and_counted(model, monkeypatch):
    monkeypatch.setattr(AttentionGallery, "capacity", staticmethod(lambda n_tokens: 3))
    explanation = explain(model, picture())
    section = next(s for s in explanation.page.sections if s.title == "Where each head looks")
    shares = np.abs(explanation.evidence.head_shares)
    kept = {divmod(int(i), 2) for i in np.argsort(-shares, axis=None)[:3]}
    assert set(section.viewers[0].heads) == kept
    assert section.viewers[0].start == divmod(int(shares.argmax()), 2)
    assert "1 with the smallest direct shares are left out" in section.note


def test_the_residual_is_printed(model, browser_page, tmp_path):
    explanation = explain(model, picture())
    open_page(browser_page, explanation.page, tmp_path)
    note = browser_page.locator("#section-who-wrote-this-logit .note").inner_text()
    assert number(note.split("add up to ")[1].split(";")[0]) == pytest.approx(
        explanation.value, abs=1e-4
    )
    assert "residual" in note


def test_heat_maps_show_the_shares_and_effects(model, browser_page, tmp_path):
    explanation = explain(model, picture())
    open_page(browser_page, explanation.page, tmp_path)
    maps = browser_page.locator("vt-heat-map")
    for place, values in enumerate(
        (explanation.evidence.head_shares, explanation.evidence.effects)
    ):
        maps.nth(place).locator("td").nth(2).hover()
        shown = maps.nth(place).locator(".readout-line").inner_text()
        assert shown.startswith("layer 1, head 0: ")
        assert number(shown.split(": ")[1]) == pytest.approx(values[1, 0], rel=0.06, abs=5.1e-5)


def test_the_footer_names_model_weights_preprocessing_and_versions(model, browser_page, tmp_path):
    model.card.update(name="tiny", weight_hash="abc123")
    open_page(browser_page, explain(model, picture()).page, tmp_path)
    footer = browser_page.locator("footer").inner_text()
    for text in ("tiny", "abc123", "24 × 32 pixels", "torch", "vitreous", "UTC"):
        assert text in footer


def test_class_names_are_shortened_to_their_first_synonym_where_it_is_unique():
    labels = ("tench, Tinca tinca", "crane, bird", "crane, machine", "cat", "dog")
    evidence = explain(random_model(labels=labels), picture()).evidence
    assert evidence.labels == ("tench", "crane, bird", "crane, machine", "cat", "dog")


def test_nasty_names_show_as_text(browser_page, tmp_path):
    labels = ("<script>document.title='gone'</script>", '"q"', "🐱", "قطة", "</script>")
    explanation = explain(random_model(labels=labels), picture(), target=0, minus=3)
    open_page(browser_page, explanation.page, tmp_path)
    assert labels[0] in browser_page.locator("h1").inner_text()
    assert browser_page.title() != "gone"


def test_a_prepared_tensor_is_taken_as_it_is(model):
    x = model.preprocess(picture())
    assert explain(model, x).value == explain(model, picture()).value


def test_a_scene_is_rendered_at_the_model_s_own_size(model):
    scene = sample_scene("cat")
    at_size = explain(model, render_image(scene, 32))
    assert explain(model, scene).value == at_size.value != explain(model, render_image(scene)).value


def test_a_scene_is_called_by_what_it_shows(model, browser_page, tmp_path):
    explanation = explain(model, sample_scene("cat-and-dog"))
    assert explanation.provenance.image == "an orange cat left of a dog on grass"
    open_page(browser_page, explanation.page, tmp_path)
    shown = browser_page.locator(".subtitle").inner_text()
    assert shown.endswith(" looks at an orange cat left of a dog on grass")


def test_a_clip_is_refused(model):
    with pytest.raises(ValueError, match="takes one image; got a clip of 8"):
        explain(model, sample("motion", "test", 0))


def test_the_picture_shown_is_cut_to_its_patches():
    model = random_model(replace(CONFIG, n_classes=3))
    assert explain(model, picture()).evidence.pixels.shape == (24, 32, 3)


def test_a_model_without_preprocessing_shows_its_input(model):
    bare = random_model()
    bare.preprocessing = None
    x = torch.linspace(-1, 1, 3 * 24 * 32).reshape(1, 3, 24, 32)
    pixels = explain(bare, x).evidence.pixels
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_a_batch_is_refused(model):
    with pytest.raises(ValueError, match=r"takes one image; got a batch of shape \[2, 3, 24, 32\]"):
        explain(model, torch.zeros(2, 3, 24, 32))


def test_a_class_is_not_compared_with_itself(model):
    with pytest.raises(ValueError, match="must be two classes; got 'thing 2' for both"):
        explain(model, picture(), target=2, minus="thing 2")


@pytest.mark.parametrize(
    ("config", "lack"),
    [
        (replace(CONFIG, n_classes=None), "a classifier"),
        (replace(CONFIG, pooling=PoolingConfig("none")), "pooling"),
    ],
)
def test_a_model_that_does_not_classify_is_refused(config, lack):
    with pytest.raises(ValueError, match=f"a model that classifies images; got one without {lack}"):
        explain(HookedViT(config), torch.zeros(1, 3, 24, 32))


SHIPPED = {
    "terrarium-4l": (sample_scene("cat-and-dog"), "🐱 cat", "Why “🐱 cat” and not “🐶 dog”?"),
    "digits": (picture_file("digit"), "7️⃣ seven", "Why “7️⃣ seven” and not “9️⃣ nine”?"),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_report_of_a_shipped_model_is_small_and_right(name, browser_page, tmp_path):
    image, answer, question = SHIPPED[name]
    explanation = explain(load(name), image)
    path = explanation.save(tmp_path / "report.html")
    assert path.stat().st_size < 1e6
    assert explanation.prediction.startswith(f"{answer} (")
    browser_page.goto(path.as_uri())
    browser_page.wait_for_selector(UNREADY, state="detached")
    assert browser_page.locator("h1").inner_text() == question
    note = browser_page.locator("section").last.locator(".note").inner_text()
    assert f"training images of {name}" in note


def test_a_clip_chooses_among_texts_as_they_are():
    clip = HookedCLIP(*towers(), logit_scale=3.0, logit_bias=-1.0).eval()
    texts = ("a", "b, c", "d")
    directions = torch.eye(clip.image.n_outputs, dtype=torch.float64)[:3]
    clip.encode_text = lambda asked: functional.normalize(directions[: len(asked)], dim=-1)
    x = clip.image.random_inputs(1, torch.Generator().manual_seed(1))
    explanation = explain(clip, x, labels=texts, minus="none")
    logits = clip.compare(clip.image(x), directions)[0].detach()
    evidence = explanation.evidence
    np.testing.assert_allclose(evidence.logits, logits, atol=1e-5)
    assert explanation.target == texts[int(logits.argmax())] and evidence.labels == texts
    assert float(evidence.layer_shares.sum()) == pytest.approx(float(logits.max()), abs=1e-4)
    lens = evidence.lens["readout"].isel(layer=-1)
    np.testing.assert_allclose(lens, logits, atol=1e-4)
    assert "b, c" in explanation.page.html()


def test_a_zero_shot_classifier_has_a_report():
    classifier = random_classifier()
    x = classifier.image.random_inputs(1, torch.Generator().manual_seed(1))
    explanation = explain(classifier, x, target="dog", minus="bird")
    logits = classifier(x)[0].detach()
    assert explanation.value == pytest.approx(float(logits[1] - logits[2]), abs=1e-8)
    assert abs(explanation.evidence.residual) < 1e-8


@pytest.mark.parametrize(
    ("model", "labels", "says"),
    [
        (lambda: HookedCLIP(*towers()), None, "must be told what to choose from; got None"),
        (lambda: HookedCLIP(*towers()), [], r"must be told what to choose from; got \[\]"),
        (
            random_model,
            ["cat"],
            r"`labels` are texts for a model of images and texts; got \['cat'\]",
        ),
    ],
)
def test_texts_go_with_models_of_images_and_texts_alone(model, labels, says):
    with pytest.raises(ValueError, match=says):
        explain(model(), torch.zeros(1, 3, 24, 32), labels=labels)


def test_half_precision_has_a_report():
    model = random_model().bfloat16()
    assert explain(model, model.preprocess(picture())).page.html()


def test_many_classes_keep_the_highest_alone(model, monkeypatch):
    monkeypatch.setattr(_gather, "_MOST_LOGITS", 10)
    monkeypatch.setattr(_gather, "_HELD", 2)
    explanation = explain(model, picture())
    assert explanation.evidence.lens.sizes["rank"] == 2
    held = explanation.evidence.lens["readout_label"].isel(layer=-1, rank=0)
    assert int(held) == int(outputs(model).argmax())
    assert explanation.page.html()


def test_the_whole_head_ends_in_the_prediction(model):
    lens = explain(model, picture()).evidence.lens["readout"].isel(layer=-1)
    np.testing.assert_allclose(lens, outputs(model), atol=1e-5)


def test_a_share_that_a_later_head_takes_back_is_told(browser_page, tmp_path):
    planted = random_model()
    with torch.no_grad():
        planted.blocks[0].mlp.fc_out.bias.mul_(60)
        planted.blocks[1].mlp.fc_out.bias.copy_(-0.9 * planted.blocks[0].mlp.fc_out.bias)
    explanation = explain(planted, picture())
    assert any(each.startswith("L0M's direct share") for each in explanation.evidence.misleading)
    open_page(browser_page, explanation.page, tmp_path)
    told = browser_page.locator("#section-who-wrote-this-logit .warnings li").all_inner_texts()
    assert told == list(explanation.evidence.misleading)


def test_names_that_heads_have_earned_are_shown(model, browser_page, tmp_path):
    x = torch.cat([model.preprocess(picture())] * 2)
    scores = score_heads(model, x)
    scores["mean"].loc[{"score": "corner", "layer": 1, "head": 0}] = 0.93
    explanation = explain(model, picture(), heads=scores)
    assert "L1H0: corner head, 0.93" in [str(name) for name in explanation.evidence.names]
    open_page(browser_page, explanation.page, tmp_path)
    gallery = browser_page.locator("vt-attention-gallery")
    called = re.compile(r"layer 1, head 0 \(.*corner head, 0\.93")
    gallery.get_by_role("button", name=called).click()
    next_frame(browser_page)
    assert "corner head, 0.93" in gallery.locator(".side > .readout-line").inner_text()


def test_shares_by_source_are_what_is_under_the_cursor(model, browser_page, tmp_path):
    explanation = explain(model, picture())
    open_page(browser_page, explanation.page, tmp_path)
    viewer = browser_page.locator("vt-source-shares")
    point_at(viewer, 1, 2, 3, 4)
    shares = explanation.evidence.source_shares
    expected = float(shares[shares["source"] == 1 + 4 + 2].sum())
    said = viewer.locator(".side > .readout-line").inner_text()
    assert said.startswith("Patch row 1, column 2: ")
    assert number(said.split(": ")[1]) == pytest.approx(expected, abs=1e-4)


def test_a_section_opens_by_its_address(model, browser_page, tmp_path):
    path = explain(model, picture()).save(tmp_path / "page.html")
    browser_page.goto(path.as_uri() + "#section-who-told-the-class-token-what")
    browser_page.wait_for_selector(UNREADY, state="detached")
    section = browser_page.locator("#section-who-told-the-class-token-what")
    section.locator("summary").click()
    assert not section.locator("vt-source-shares").is_visible()
    browser_page.emulate_media(media="print")
    assert section.locator("vt-source-shares").is_visible()


def test_scores_of_another_model_are_refused(model):
    other = load("digits")
    x = other.random_inputs(1, torch.Generator())
    scores = score_heads(other, x, scores=["self"])
    with pytest.raises(ValueError, match="must be of this model's 2 x 2 heads; got"):
        explain(model, picture(), heads=scores)


def test_a_pattern_that_a_hook_replaced_is_no_softmax_and_gets_no_report():
    model = load("digits")
    model.add_hook(("pattern", 1), lambda pattern, hook: pattern.flip(-1))
    with pytest.raises(HookError, match=r"softmax of their scores; a hook replaced `blocks\.1\."):
        explain(model, picture_file("digit"))
