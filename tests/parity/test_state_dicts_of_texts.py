"""Weights in memory of models that read texts, by the names of their libraries or by ours."""

import pytest
import torch
import transformers

import vitreous as vt
from tests.laws._models import EXACT_ENOUGH, gap
from tests.laws._texts import END, VOCABULARY, build_text, texts_for
from tests.parity import transformers_texts
from vitreous._errors import WeightsError
from vitreous.models import AttentionConfig, HookedTextConfig, PoolingConfig

CFG = HookedTextConfig(
    2, 8, 2, d_mlp=5, n_classes=4, vocab_size=VOCABULARY, n_ctx=5, eot_token=END,
    attention=AttentionConfig(causal=True), pooling=PoolingConfig("eot"),
)  # fmt: skip


def both_towers():
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config={
            "vocab_size": 60, "hidden_size": 24, "intermediate_size": 30, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 9, "eos_token_id": 59,
            "bos_token_id": 58, "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": 20, "intermediate_size": 30, "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": 16, "patch_size": 8,
        },
        projection_dim=12,
    )  # fmt: skip
    model = transformers.CLIPModel(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_().mul_(0.3)
    return model


def test_our_own_names_of_a_text_transformer():
    model = build_text(CFG)
    again = vt.from_state_dict(CFG, model.state_dict())
    assert again.cfg == CFG
    assert torch.equal(again(texts_for(CFG)), model(texts_for(CFG)))


def test_what_is_missing_is_named():
    weights = build_text(CFG).state_dict()
    del weights["embedding.tokens"]
    with pytest.raises(WeightsError, match=r"1 missing, first `embedding\.tokens`"):
        vt.from_state_dict(CFG, weights)


def test_a_clip_comes_back_whole_or_by_the_tower():
    source = both_towers()
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    tokens = torch.randint(1, 58, (3, 9))
    tokens[:, -1] = 59
    with torch.no_grad():
        truth = source(input_ids=tokens, pixel_values=images)
    clip = vt.from_state_dict(source.config, source.state_dict())
    assert isinstance(clip, vt.HookedCLIP)
    assert gap(clip(images, tokens), truth.logits_per_image) <= EXACT_ENOUGH
    image = vt.from_state_dict(source.config, source.state_dict(), tower="image")
    text = vt.from_state_dict(source.config, source.state_dict(), tower="text")
    assert torch.equal(image(images), clip.image(images))
    assert torch.equal(text(tokens), clip.text(tokens))


@pytest.mark.parametrize("case", transformers_texts.CASES)
def test_a_configuration_of_transformers_takes_a_text_tower(case):
    module = transformers_texts.random_model(case)
    tokens = transformers_texts.random_texts(module)
    model = vt.from_state_dict(module.config, module.state_dict(), tower="text")
    assert gap(model(tokens), transformers_texts.readout(module, tokens)) <= EXACT_ENOUGH


def test_a_text_tower_by_another_library_s_names_is_refused():
    with pytest.raises(ValueError, match=r"needs weights by the names of the library"):
        vt.from_state_dict(vt.load("digits").cfg, vt.load("digits").state_dict(), tower="text")
