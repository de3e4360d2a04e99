"""Two towers, classes described in words, and targets that are texts."""

import math

import pytest
import torch
from torch import Tensor

import vitreous as vt
from tests.laws._models import assert_equal
from vitreous.data import ClassNames
from vitreous.models import (
    AttentionConfig,
    HookedCLIP,
    HookedTextConfig,
    HookedTextTransformer,
    HookedViT,
    HookedViTConfig,
    MapConfig,
    PoolingConfig,
)

SCALE, BIAS = 7.0, -2.5


class Letters:
    """A tokenizer of lower-case letters; `~` ends every text."""

    def encode(self, texts):
        rows = [[ord(c) % 29 for c in (text + "~").ljust(24)[:24]] for text in texts]
        return torch.tensor(rows)

    def decode(self, token):
        return str(token)


def towers(d_embed=6, **of_images):
    pooling = of_images.pop("pooling", PoolingConfig())
    image = HookedViTConfig(
        2, 8, 2, d_mlp=9, n_classes=d_embed, image_size=4, patch_size=2, pooling=pooling,
        **of_images,
    )  # fmt: skip
    text = HookedTextConfig(
        2, 8, 2, d_mlp=9, n_classes=d_embed, vocab_size=29, n_ctx=24, eot_token=ord("~") % 29,
        attention=AttentionConfig(causal=True), pooling=PoolingConfig("eot"), head_bias=False,
    )  # fmt: skip
    return HookedViT(image).double(), HookedTextTransformer(text, tokenizer=Letters()).double()


@pytest.fixture(scope="module")
def clip() -> HookedCLIP:
    torch.manual_seed(0)
    model = HookedCLIP(*towers(), logit_scale=SCALE, logit_bias=BIAS).eval()
    with torch.no_grad():
        for tower in (model.image, model.text):
            for parameter in tower.parameters():
                parameter.normal_().mul_(0.5)
    return model


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(3, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def unit(x):
    return x / (x**2).sum(-1, keepdim=True).sqrt()


def logit(clip, image, text):
    """One image and one prompt, by the definition."""
    image, text = unit(clip.image(image[None])[0]), unit(clip.text(clip.to_tokens(text))[0])
    return math.exp(math.log(SCALE)) * (image * text).sum() + BIAS


def logits(clip, images, texts):
    return torch.stack([torch.stack([logit(clip, i, t) for t in texts]) for i in images])


def test_logits_are_scaled_cosines_and_a_bias(clip, images):
    texts = ["a cat", "a dog in the rain"]
    expected = logits(clip, images, texts)
    assert_equal(clip(images, texts), expected)
    assert_equal(clip(images, clip.to_tokens(texts)), expected)
    ours, caches = clip.run_with_cache(images, texts)
    assert_equal(ours, expected)
    assert len(caches.image["resid_post", 0]) == 3 and len(caches.text["resid_post", 0]) == 2


def test_embeddings_have_length_one_unless_asked_otherwise(clip, images):
    for encoded in (clip.encode_image(images), clip.encode_text(["a", "b", "c"])):
        assert_equal(encoded.norm(dim=-1), torch.ones(3, dtype=torch.float64))
    assert_equal(clip.encode_image(images, normalize=False), clip.image(images))
    assert_equal(clip.encode_text("a", normalize=False), clip.text(clip.to_tokens("a")))


def test_many_texts_are_encoded_as_few(clip):
    texts = [f"text {i}" for i in range(300)]
    one_by_one = torch.cat([clip.encode_text(text) for text in texts[250:260]])
    assert_equal(clip.encode_text(texts)[250:260], one_by_one)


def test_a_class_is_the_normalized_mean_of_its_prompts(clip, images):
    names, templates = ["cat", "dog, hound"], ("a {}", "the {} there")
    classifier = clip.zero_shot(names, templates)
    assert list(classifier.labels) == names
    for place, name in enumerate(["cat", "dog"]):
        prompts = torch.cat([unit(clip.encode_text(t.replace("{}", name))) for t in templates])
        expected = unit(clip.image(images)) @ unit(prompts.mean(0)) * SCALE + BIAS
        assert_equal(classifier(images)[:, place], expected)


@pytest.mark.parametrize(
    ("what", "minus", "expected"),
    [
        ("a cat", None, lambda x: x[:, 0]),
        ("a cat", "a dog", lambda x: x[:, 0] - x[:, 1]),
        (("a cat", "a dog"), "fish", lambda x: x[:, :2].mean(1) - x[:, 2]),
        (["fish", "a dog", "fish"], None, lambda x: x[[0, 1, 2], [2, 1, 2]]),
        (["fish", "a dog", "fish"], "a cat", lambda x: x[[0, 1, 2], [2, 1, 2]] - x[:, 0]),
    ],
)
def test_a_target_of_prompts_is_their_logits(clip, images, what, minus, expected):
    target = clip.target(what, minus)
    value = expected(logits(clip, images, ["a cat", "a dog", "fish"]))
    output, cache = clip.image.run_with_cache(images)
    assert_equal(target(output), value)
    readout = target.readout(cache)
    read = (readout.weights * cache["resid_post", -1]).sum((1, 2)) + readout.constant
    assert_equal(read, value)


def test_the_length_of_an_embedding_does_not_count_in_a_target(clip, images):
    direction = clip.encode_text("a cat")[0]
    values = [clip.target(factor * direction)(clip.image(images)) for factor in (1, 30)]
    for value in values:
        assert_equal(value, logits(clip, images, ["a cat"])[:, 0])


@pytest.mark.parametrize(
    "pooling",
    [
        PoolingConfig("mean", norm_first=False),
        PoolingConfig("map", map=MapConfig(2, 3, 8, d_mlp=5)),
        PoolingConfig("cls_mean"),
    ],
)
def test_shares_add_up_to_a_normalized_target_for_every_pooling(images, pooling):
    torch.manual_seed(2)
    clip = HookedCLIP(*towers(pooling=pooling), logit_scale=SCALE).eval()
    for parameter in clip.parameters():
        parameter.data.normal_().mul_(0.5)
    target = clip.target("a cat", minus="a dog")
    output, cache = clip.image.run_with_cache(images)
    rows = torch.stack(list(cache.head_rows().values()))
    shares = cache.logit_attrs(rows, target).sum((0, -1)) + target.readout(cache).constant
    assert_equal(shares, target(output))


@pytest.mark.parametrize("centering", ["own", "shared"])
@pytest.mark.parametrize("by", ["layer", "head", "head_and_source", "neuron"])
def test_direct_logit_shares_take_a_prompt_apart(clip, images, by, centering):
    target = clip.target("a cat", minus="a dog")
    value = target(clip.image(images))
    for model, asked in ((clip.image, target), (clip, target)):
        shares = vt.direct_logit_shares(model, images, asked, by=by, centering=centering)
        assert_equal(torch.from_numpy(shares.sum("component").values), value)


def test_shares_add_up_to_the_similarity_of_a_prompt_or_a_class(clip, images):
    classifier = clip.zero_shot(["cat", "dog"], ["a {}"])
    for model, asked in ((clip, "a cat"), (classifier, "cat")):
        shares = vt.direct_logit_shares(model, images, asked, by="head")
        expected = logits(clip, images, ["a cat"])[:, 0]
        assert_equal(torch.from_numpy(shares.sum("component").values), expected)


def test_a_zero_shot_target_speaks_of_classes(clip, images):
    classifier = clip.zero_shot(ClassNames(("cat", "dog", "fish")))
    target = classifier.target("fish", minus=("cat", "dog"))
    assert target.name == "fish - mean(cat + dog)"
    values = classifier(images)
    expected = values[:, 2] - values[:, :2].mean(1)
    assert_equal(target(clip.image(images)), expected)
    entropy = classifier.target(lambda logits: logits.softmax(-1).max(-1).values)
    assert_equal(entropy(clip.image(images)), values.softmax(-1).max(-1).values)


def test_a_folder_holds_both_towers(clip, images, tmp_path):
    clip.save_pretrained(tmp_path)
    again = vt.load(tmp_path, dtype=torch.float64)
    assert isinstance(again, HookedCLIP) and again.image.cfg == clip.image.cfg
    tokens = clip.to_tokens(["a cat", "b"])
    assert torch.equal(again(images, tokens), clip(images, tokens))


def test_no_direction_where_embeddings_are_divided_by_their_length(clip):
    with pytest.raises(ValueError, match="got embeddings that are divided by their length"):
        _ = clip.target("a cat").direction


def test_texts_need_a_tokenizer(clip):
    bare = HookedTextTransformer(clip.text.cfg)
    with pytest.raises(ValueError, match="got a model without `tokenizer`"):
        bare.to_tokens("a cat")
    assert bare.to_str_tokens(torch.tensor([3, 4])) == ["3", "4"]
    assert clip.text.to_str_tokens("ab")[:2] == [str(ord("a") % 29), str(ord("b") % 29)]
