"""Equality with the video models of transformers, value by value, and what their clips become."""

import numpy as np
import pytest
import torch
import transformers

import vitreous as vt
from tests.parity.transformers_models import random_of
from tests.parity.video_models import CASES, TIMES, random_inputs, random_model
from vitreous.models._parity import parity
from vitreous.models.adapters._transformers_images import preprocessing_of

every_case = pytest.mark.parametrize("case", CASES)


@every_case
def test_logits_and_all_values_inside_equal_those_of_the_source(case):
    module = random_model(case).float()
    model = vt.from_module(module)
    report = parity(model, module, random_inputs(module))
    assert report, report
    seen = {row.name for row in report.rows}
    for layer in range(2):
        for point in ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post"):
            assert f"blocks.{layer}.hook_{point}" in seen
        if model.cfg.divides_space_time:
            for point in ("hook_attn_time_out", "hook_resid_time", "attn_time.hook_z"):
                assert f"blocks.{layer}.{point}" in seen


@every_case
def test_what_comes_out_is_what_the_source_says(case):
    """By the source's own call on whole clips, without our table of what it shows."""
    module = random_model(case)
    config, model = module.config, vt.from_module(module)
    inputs = random_inputs(module)
    clips = inputs if inputs.ndim == 5 else inputs[:, None]
    with torch.no_grad():
        output = module(clips)
    if "logits" in output:
        expected = output.logits
    elif getattr(config, "use_mean_pooling", False):
        expected = output.last_hidden_state
    else:
        expected = output.last_hidden_state[:, 0]
    assert (model(inputs) - expected).abs().max() <= 1e-10 * expected.abs().max()


@pytest.mark.parametrize(
    "case", ["timesformer classifier", "timesformer classifier, one frame", "videomae classifier"]
)
def test_the_identities_of_the_residual_stream_hold(case):
    assert vt.from_module(random_model(case)).check()


def test_attention_to_space_alone_reads_the_frames_of_a_clip_one_by_one():
    module = random_model("timesformer classifier, space")
    clips = torch.randn(2, 3, 3, 16, 16, dtype=torch.float64)
    ours = vt.from_module(module)(clips.flatten(0, 1))
    assert (ours - module(clips).logits).abs().max() <= 1e-10


def test_a_change_of_any_one_weight_is_noticed():
    module = random_model("timesformer classifier")
    inputs, model = random_inputs(module), vt.from_module(module)
    truth = module(inputs).logits
    unnoticed = []
    for name, parameter in model.named_parameters():
        value = parameter.detach().clone()
        with torch.no_grad():
            parameter.view(-1)[0] += 1e-4
            unnoticed += [] if (model(inputs) - truth).abs().max() > 1e-9 else [name]
            parameter.copy_(value)
    assert unnoticed == []


@pytest.mark.parametrize("name", ["timesformer", "vivit", "videomae"])
def test_a_saved_model_loads_with_its_labels(name, tmp_path):
    module = random_model(f"{name} classifier").float()
    module.config.id2label = {i: f"{verb} a cake" for i, verb in enumerate(["eat", *"abcd"])}
    module.save_pretrained(tmp_path)
    model = vt.load(f"hf:{tmp_path}", dtype=torch.float64)
    inputs = random_inputs(module).double()
    assert (model(inputs) - module.double()(inputs).logits).abs().max() <= 1e-10
    assert model.target("eat a cake").name == "eat a cake"


OLD_NAMES = {
    "vivit": {
        "layers.": "encoder.layer.",
        "attention.q_proj": "attention.attention.query",
        "attention.k_proj": "attention.attention.key",
        "attention.v_proj": "attention.attention.value",
        "attention.o_proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    },
    "videomae": {
        "attention.attention.query.bias": "attention.attention.q_bias",
        "attention.attention.value.bias": "attention.attention.v_bias",
    },
}


@pytest.mark.parametrize("name", OLD_NAMES)
def test_the_names_of_version_4_are_understood(name, tmp_path):
    module = random_model(f"{name} classifier").float()
    old = {}
    for key, tensor in module.state_dict().items():
        for new_part, old_part in OLD_NAMES[name].items():
            key = key.replace(new_part, old_part)
        old[key] = tensor
    assert old.keys() != module.state_dict().keys()
    module.config.save_pretrained(tmp_path)
    torch.save(old, tmp_path / "pytorch_model.bin")
    model = vt.load(f"hf:{tmp_path}", dtype=torch.float64)
    inputs = random_inputs(module).double()
    assert (model(inputs) - module.double()(inputs).logits).abs().max() <= 1e-10


def test_our_own_files_bring_it_back(tmp_path):
    model = vt.from_module(random_model("timesformer classifier"))
    model.save_pretrained(tmp_path)
    loaded = vt.load(tmp_path, dtype=torch.float64)
    inputs = model.random_inputs(2, torch.Generator().manual_seed(0))
    assert torch.equal(loaded(inputs), model(inputs))


def test_an_image_size_that_the_source_cannot_resample_is_refused(tmp_path):
    random_model("vivit classifier").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="or of clips, which transformers can't resample"):
        vt.load(f"hf:{tmp_path}", image_size=32)


# ---- clips as the source prepares them

CROPPED = {"size": {"shortest_edge": 19}, "crop_size": {"height": 16, "width": 16}}
PROCESSORS = {
    "videomae": ("VideoMAEImageProcessor", CROPPED),
    "videomae, pillow": ("VideoMAEImageProcessorPil", CROPPED),
    "vivit": ("VivitImageProcessor", CROPPED),
    "vivit, no offset": ("VivitImageProcessor", CROPPED | {"offset": False}),
    "videomae, a video processor": ("VideoMAEVideoProcessor", CROPPED),
    "vivit, a video processor": ("VivitVideoProcessor", CROPPED),
    "timesformer, a video processor": ("TimesformerVideoProcessor", CROPPED),
}


def frames(count: int, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, rows, columns, 3), dtype=np.uint8)


@pytest.mark.parametrize("case", PROCESSORS)
def test_prepared_clips_equal_those_of_the_processor(case):
    name, fields = PROCESSORS[case]
    processor = getattr(transformers, name)(**fields)
    model = vt.from_module(random_of(random_model("timesformer")).float(), processor)
    for rows, columns in ((30, 41), (53, 22), (19, 19)):
        clip = frames(3, rows, columns)
        expected = processor(list(clip), return_tensors="pt")["pixel_values"]
        assert expected.shape == (1, 3, 3, 16, 16)
        for given in (clip, list(clip), [clip], [list(clip)], clip[None]):
            torch.testing.assert_close(model.preprocess(given), expected, rtol=0, atol=1e-6)


def test_several_clips_stay_apart_and_in_order():
    processor = transformers.VideoMAEImageProcessor(**CROPPED)
    model = vt.from_module(random_model("timesformer").float(), processor)
    clips = [frames(3, 20, 30, seed) for seed in (1, 2)]
    both = model.preprocess(clips)
    assert torch.equal(both, torch.cat([model.preprocess(clip) for clip in clips]))
    assert not torch.equal(both[0], both[1])


@pytest.mark.parametrize("name", ["VideoMAEImageProcessor", "VivitImageProcessor"])
def test_a_saved_processor_is_loaded_with_its_model(name, tmp_path):
    processor = getattr(transformers, name)(**CROPPED)
    for each in (processor, random_model("timesformer classifier, joint")):
        each.save_pretrained(tmp_path)
    model = vt.load(f"hf:{tmp_path}")
    assert model.preprocessing == preprocessing_of(processor, model.cfg)


def test_a_saved_video_processor_is_loaded_with_its_model(tmp_path):
    processor = transformers.TimesformerVideoProcessor(**CROPPED)
    for each in (processor, random_model("timesformer classifier, joint")):
        each.save_pretrained(tmp_path)
    model = vt.load(f"hf:{tmp_path}")
    assert model.preprocessing == preprocessing_of(processor, model.cfg)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (frames(2, 20, 20), "must have 3 frames for this model; got 2"),
        (frames(1, 20, 20)[0], r"the form \(frames, rows, columns, channels\); got 20x20x3"),
        ("video.mp4", "must be a list or an array of frames; got the path 'video.mp4'"),
        ([], "got an empty list"),
    ],
)
def test_what_is_no_clip_is_refused(given, words):
    processor = transformers.VideoMAEImageProcessor(**CROPPED)
    model = vt.from_module(random_model("timesformer"), processor)
    with pytest.raises(vt.ImageError, match=words):
        model.preprocess(given)


def test_a_norm_behind_the_pooling_of_another_eps_is_refused():
    module = random_model("videomae classifier")
    module.fc_norm.eps = 1e-3
    with pytest.raises(vt.UnsupportedModelError, match=r"got 0\.001 at `fc_norm`"):
        vt.from_module(module)


def test_the_second_map_behind_attention_over_time_is_rounded_once():
    module = random_of(
        transformers.TimesformerModel(transformers.TimesformerConfig(**TIMES))
    ).bfloat16()
    block = module.encoder.layer[0]
    first, second = block.temporal_attention.output.dense, block.temporal_dense
    exact = (second.weight.double() @ first.weight.double()).bfloat16()
    assert torch.equal(vt.from_module(module).blocks[0].attn_time.out.weight, exact)
