"""Galleries of heads and reports on one: every number is that of its method."""

import numpy as np
import pytest
import torch

from tests.heads.planted import planted_model
from tests.tiny import READOUTS, images_of, random_model
from tests.view.reading import UNREADY, next_frame, number, open_page
from vitreous.data import ClassNames, Images
from vitreous.decomposition import singular_directions
from vitreous.heads import head_patterns, head_profile, score_heads
from vitreous.hooks import Ablate
from vitreous.models import ZeroShotClassifier
from vitreous.report import head_gallery, head_report
from vitreous.training import means

KINDS = {name: changes for name, changes in READOUTS.items() if "n_frames" not in changes}


def named_model(**changes):
    model = random_model(**changes)
    model.labels = ClassNames(tuple(f"thing {i}" for i in range(5)))
    return model


@pytest.fixture(scope="module")
def model():
    return named_model()


@pytest.fixture(scope="module")
def pixels(model):
    return images_of(model, 5)


@pytest.fixture(scope="module")
def report(model, pixels):
    return head_report(model, pixels, 1, 2, count=3)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_has_a_gallery_and_reports(kind):
    model = named_model(**KINDS[kind])
    pixels = images_of(model, 3)
    gallery = head_gallery(model, pixels, examples=2)
    assert gallery.evidence.patterns.sizes["head"] == 4 and "<vt-head-cards" in gallery.page.html()
    found = head_report(model, pixels, -1, -1)
    assert (found.evidence.layer, found.evidence.head) == (2, 3)
    assert "<vt-patch-strip" in found.page.html()


@pytest.mark.parametrize("changes", [{"image_size": (4, 4)}, {"n_classes": 1}, {"n_layers": 1}])
def test_one_patch_one_class_and_one_layer_are_enough(changes):
    model = random_model(**changes)
    pixels = images_of(model, 1)
    assert head_gallery(model, pixels).page.html()
    assert head_report(model, pixels, 0, 0).page.html()


def test_a_model_without_classes_says_what_is_left_out():
    model = random_model(n_classes=None)
    found = head_report(model, images_of(model, 2), 0, 0)
    assert found.evidence.effects is None and found.evidence.classes is None
    notes = [section.note for section in found.page.sections[2:]]
    assert all(note.startswith("Not shown. The model has no classes") for note in notes)


def test_half_precision_has_reports(model, pixels):
    half = named_model().bfloat16()
    assert head_gallery(half, pixels.bfloat16()).page.html()
    assert head_report(half, pixels.bfloat16(), 1, 1).page.html()


def test_mean_patterns_of_all_heads_are_those_of_each(model, pixels):
    together = head_patterns(model, Images.from_tensor(pixels, batch_size=2))
    for layer, head in ((0, 3), (2, 1)):
        alone = head_profile(model, pixels, layer, head)
        for name in ("by_offset", "by_cls", "received"):
            np.testing.assert_allclose(
                together[name].sel(layer=layer, head=head), alone[name], atol=1e-12
            )


def test_mean_patterns_are_the_definition(model, pixels):
    cache = model.run_with_cache(pixels)[1]
    pattern = cache["pattern", 1].mean(0)
    found = head_patterns(model, pixels).sel(layer=1)
    np.testing.assert_allclose(found["by_cls"], pattern[:, 0], atol=1e-12)
    np.testing.assert_allclose(found["received"], pattern.mean(1), atol=1e-12)
    one_up = [pattern[:, 1 + 2 * r + c, 1 + 2 * (r - 1) + c] for r in (1, 2) for c in (0, 1)]
    np.testing.assert_allclose(
        found["by_offset"].sel(row_offset=-1, column_offset=0),
        torch.stack(one_up).mean(0),
        atol=1e-12,
    )


def test_effects_are_those_of_a_hooked_run(model, pixels, report):
    mean = means(model, pixels, "blocks.1.attn.hook_z", by="position")
    with torch.no_grad():
        before = model(pixels)
        with model.intervene(Ablate("L1H2", "mean", mean)):
            after = model(pixels)
    answers = before.argmax(1)

    def lead(logits):
        return torch.stack(
            [
                row[answer] - max(row[other] for other in range(5) if other != answer)
                for row, answer in zip(logits, answers, strict=True)
            ]
        )

    effects = report.evidence.effects
    np.testing.assert_allclose(effects["lead"], lead(before), atol=1e-10)
    np.testing.assert_allclose(
        effects["effect"].sel(head=2), lead(after) - lead(before), atol=1e-10
    )
    assert report.evidence.n_changed == int((after.argmax(1) != answers).sum())


def test_streaming_changes_nothing(model, pixels, report):
    streamed = head_report(model, Images.from_tensor(pixels, batch_size=2), 1, 2, count=3)
    np.testing.assert_allclose(
        streamed.evidence.effects["effect"], report.evidence.effects["effect"], atol=1e-10
    )
    np.testing.assert_array_equal(
        streamed.evidence.profile["top_patch_image"], report.evidence.profile["top_patch_image"]
    )


def test_patches_come_from_as_many_images(model, pixels, report):
    profile = report.evidence.profile
    assert len(set(profile["top_patch_image"].values.tolist())) == 3
    norms = model.run_with_cache(pixels)[1]["blocks.1.attn.hook_result"][:, 1:, 2].norm(dim=-1)
    np.testing.assert_allclose(
        profile["top_patch_norm"], norms.amax(1).sort(descending=True).values[:3], atol=1e-10
    )


def test_directions_are_those_of_the_weights(model, report):
    expected = singular_directions(model, 1, 2, k=3)
    np.testing.assert_array_equal(report.evidence.directions["right"], expected["right"])
    bars = report.page.sections[2].viewers[1]
    most = int(np.abs(expected["right"].values[0]).argmax())
    assert bars.labels[0] == f"thing {most}"


def test_a_norm_between_values_and_output_is_told():
    model = random_model(**READOUTS["rotary, gated, norms inside"])
    found = head_report(model, images_of(model), 0, 0)
    assert isinstance(found.evidence.directions, str)
    assert found.page.sections[2].note == f"Not shown. {found.evidence.directions}"


def test_a_zero_shot_classifier_has_answers():
    image = random_model(n_classes=6, head_bias=False)
    weights = torch.eye(6, dtype=torch.float64)[:3]
    scale = torch.tensor(9.0, dtype=torch.float64)
    names = ClassNames(("a cat", "a dog", "a bird"))
    classifier = ZeroShotClassifier(image, weights, scale, None, names)
    pixels = images_of(image, 4)
    evidence = head_report(classifier, pixels, 0, 1).evidence
    assert evidence.classes is not None and evidence.effects is not None
    np.testing.assert_array_equal(evidence.effects["answer"], classifier(pixels).argmax(1))
    assert list(evidence.directions["label"].values) == list(names)


def test_a_planted_corner_head_is_called_one(browser_page, tmp_path):
    model = planted_model()
    pixels = model.random_inputs(4, torch.Generator().manual_seed(0))
    scores = score_heads(model, pixels)
    gallery = head_gallery(model, pixels, scores=scores)
    name = next(each for each in gallery.evidence.names if each.score == "corner")
    found = head_report(model, pixels, name.layer, name.head, scores=scores)
    assert found.page.title.startswith(f"L{name.layer}H{name.head}: corner head, ")
    open_page(browser_page, gallery.page, tmp_path)
    card = browser_page.get_by_role(
        "button", name=f"layer {name.layer}, head {name.head}: corner head"
    )
    card.click()
    next_frame(browser_page)
    assert "corner head, " in browser_page.locator("vt-head-cards .earned").inner_text()
    assert f"layer={name.layer}&head={name.head}" in browser_page.url
    browser_page.reload()
    browser_page.wait_for_selector(UNREADY, state="detached")
    heading = browser_page.locator("vt-head-cards .side h3").inner_text()
    assert heading == f"Layer {name.layer}, head {name.head}"


def test_what_is_under_the_cursor_is_what_the_tensor_says(model, pixels, browser_page, tmp_path):
    gallery = head_gallery(model, pixels, examples=1)
    open_page(browser_page, gallery.page, tmp_path)
    cards = browser_page.locator("vt-head-cards")
    cards.locator(".card").nth(6).click()
    picture = cards.locator(".patch-picture")
    box = picture.bounding_box()
    by_offset = gallery.evidence.patterns["by_offset"].sel(layer=1, head=2)
    rows, columns = by_offset.shape
    for row, column in ((0, 0), (4, 1), (1, 2)):
        at = {"x": box["width"] * (column + 0.5) / columns, "y": box["height"] * (row + 0.5) / rows}
        picture.hover(position=at)
        next_frame(browser_page)
        said = cards.locator(".side > .readout-line").inner_text()
        assert number(said.split(": ")[1]) == pytest.approx(float(by_offset[row, column]), rel=6e-3)
    assert said.startswith("1 up, 1 right")


def test_only_heads_with_a_name_are_shown_where_asked_for(browser_page, tmp_path):
    model = planted_model()
    pixels = model.random_inputs(3, torch.Generator().manual_seed(0))
    gallery = head_gallery(model, pixels, examples=1)
    open_page(browser_page, gallery.page, tmp_path)
    browser_page.get_by_role("radio", name="those with a name").check()
    named = {(name.layer, name.head) for name in gallery.evidence.names}
    assert browser_page.locator(".card:visible").count() == len(named)


def test_strips_read_values_and_frame_the_patch(model, pixels, browser_page, tmp_path):
    found = head_report(model, pixels, 1, 2, count=3)
    open_page(browser_page, found.page, tmp_path)
    strip = browser_page.locator("vt-patch-strip").nth(1)
    picture = strip.locator(".patch-picture").nth(2)
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    picture.hover(position={"x": 0.75 * box["width"], "y": box["height"] * 2.5 / 3})
    next_frame(browser_page)
    said = strip.locator(".readout-line").last.inner_text()
    pattern = found.evidence.profile["top_patch_pattern"].values[2, 1 + 2 * 2 + 1]
    assert said.startswith("Patch row 2, column 1: ")
    assert number(said.split(": ")[1]) == pytest.approx(pattern, rel=6e-3)


def test_nasty_names_show_as_text(browser_page, tmp_path, pixels):
    model = named_model()
    model.labels = ClassNames(
        ("<script>document.title='gone'</script>", '"q"', "🐱", "قطة", "</script>")
    )
    model.card["name"] = "<img src=x onerror=\"document.title='gone'\">"
    for page in (head_gallery(model, pixels).page, head_report(model, pixels, 1, 2).page):
        open_page(browser_page, page, tmp_path)
        assert model.card["name"] in browser_page.locator(".subtitle").inner_text()
        assert browser_page.title() != "gone"
    bars = browser_page.locator("vt-bars").all_inner_texts()
    assert all(any(name in text for text in bars) for name in model.labels)
