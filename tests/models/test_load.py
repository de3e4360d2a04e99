"""From a name, a folder or a module to a model."""

import subprocess
import sys

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image
from timm.models.vision_transformer import VisionTransformer

import vitreous as vt
from vitreous._errors import WeightsError
from vitreous.models.adapters import _network, _timm_download

TINY = {"depth": 1, "embed_dim": 24, "num_heads": 2, "img_size": 32}


@pytest.fixture(scope="module")
def vit():
    return timm.create_model("vit_tiny_patch16_224").eval()


@pytest.fixture(scope="module")
def weights(vit, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    safetensors.torch.save_file(vit.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def loaded(weights):
    return vt.load("timm:vit_tiny_patch16_224", weights=weights)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    def refuse(*_args, **_keywords):
        raise OSError("no network")

    monkeypatch.setattr(_network.urllib.request, "urlopen", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


# -- A timm name and a file


def test_a_name_and_a_file_give_the_model_that_timm_has(vit, loaded):
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), vit(images))


def test_a_loaded_model_says_what_it_is(loaded):
    assert loaded.card["name"] == "timm:vit_tiny_patch16_224"
    assert loaded.card["source"] == f"timm {timm.__version__}, vit.safetensors"
    assert len(loaded.card["weight_hash"]) == 12


def test_a_head_of_another_size_in_the_file_makes_a_model_of_that_many_classes(tmp_path):
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=5)
    safetensors.torch.save_file(vit.state_dict(), tmp_path / "five.safetensors")
    model = vt.load("timm:vit_tiny_patch16_224", weights=tmp_path / "five.safetensors")
    assert model.cfg.n_classes == 5
    assert model.labels is None


def test_weights_are_loaded_in_the_dtype_that_is_asked_for(weights):
    model = vt.load("timm:vit_tiny_patch16_224", weights=weights, dtype=torch.float64)
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_timm_is_asked_for_what_the_options_say(monkeypatch, tmp_path):
    asked = {}

    def create(name, *, pretrained=False, create=timm.create_model, **keywords):
        asked.update(keywords if pretrained else {})
        return create(name, **{key: keywords[key] for key in keywords.keys() & {"img_size"}})

    monkeypatch.setattr(_timm_download, "answers", lambda _url: True)
    monkeypatch.setattr(timm, "create_model", create)
    model = vt.load("timm:test_vit", revision="v2", cache_dir=tmp_path, image_size=64)
    assert asked == {
        "pretrained_cfg_overlay": {"hf_hub_id": "timm/test_vit.r160_in1k@v2"},
        "cache_dir": str(tmp_path),
        "img_size": (64, 64),
    }
    assert model.card["source"].endswith("timm/test_vit.r160_in1k@v2")
    assert model.cfg.image_size == (64, 64)


# -- Preprocessing and labels


def test_pictures_are_prepared_as_timm_prepares_them(vit, loaded):
    levels = np.random.default_rng(0).integers(0, 256, (300, 420, 3), dtype=np.uint8)
    image = Image.fromarray(levels)
    config = timm.data.resolve_data_config(pretrained_cfg=vit.pretrained_cfg)
    theirs = timm.data.create_transform(**config)(image)
    torch.testing.assert_close(loaded.preprocess(image)[0], theirs)


def test_pictures_are_prepared_at_the_size_of_the_model():
    vit = timm.create_model("vit_tiny_patch16_224", **TINY | {"img_size": (32, 48)})
    assert vt.from_module(vit).preprocessing.image_size == (32, 48)


def test_a_model_without_a_record_has_neither_preprocessing_nor_labels():
    model = vt.from_module(VisionTransformer(**TINY))
    assert model.cfg.n_classes == 1000
    assert model.preprocessing is None and model.labels is None


def test_a_record_for_other_color_channels_is_no_preprocessing():
    model = vt.from_module(timm.create_model("vit_tiny_patch16_224", in_chans=1, **TINY))
    assert model.preprocessing is None


def test_classes_of_imagenet_are_found_by_their_names_and_synonyms(loaded):
    assert loaded.labels.find("tabby") == loaded.labels.find("tabby cat") == 281
    assert loaded.labels.find("man-eater") == 2
    assert len(loaded.labels) == 1000


def test_a_head_of_the_larger_imagenet_has_its_names():
    vit = timm.create_model("vit_tiny_patch16_224.augreg_in21k", **TINY)
    assert len(vt.from_module(vit).labels) == vit.num_classes == 21843


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("vit_tiny_patch16_224", {"num_classes": 7}),
        ("vit_base_patch32_plus_256", {}),  # nobody published weights
        ("vit_base_patch32_clip_224.openai", {"num_classes": 1000}),
    ],
)
def test_other_heads_than_those_of_imagenet_have_no_labels(name, changes):
    assert vt.from_module(timm.create_model(name, **TINY, **changes)).labels is None


# -- A module


def test_a_converted_model_is_in_evaluation_mode_and_leaves_the_source_as_it_was():
    vit = timm.create_model("vit_tiny_patch16_224", **TINY).train()
    before = {name: value.clone() for name, value in vit.state_dict().items()}
    model = vt.from_module(vit)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert vit.training and not model.training
    assert all(torch.equal(value, before[name]) for name, value in vit.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_layer_scale_folds_in_float32_and_better_and_stays_a_gain_below(dtype):
    vit = timm.create_model("vit_tiny_patch16_224", init_values=0.1, **TINY).to(dtype)
    model = vt.from_module(vit)
    assert model.cfg.layer_scale == (dtype in (torch.float16, torch.bfloat16))
    assert {p.dtype for p in model.parameters()} == {dtype}


def test_a_subclass_that_changes_no_forward_pass_converts():
    class Trained(VisionTransformer):
        def loss(self, images):
            return self(images).sum()

    assert vt.from_module(Trained(**TINY)).cfg.d_model == 24


def test_nothing_of_timm_is_imported_before_it_is_asked_for():
    code = (
        "import sys, torch, vitreous.models as m; m.shipped_models()\n"
        "try: m.from_module(torch.nn.Linear(1, 1))\n"
        "except ValueError: print('timm' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


# -- Without a network


def test_weights_in_the_cache_need_no_network(vit, no_network):
    snapshot = no_network / "models--timm--vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    (snapshot / "refs").mkdir(parents=True)
    (snapshot / "refs" / "main").write_text("0" * 40)
    (snapshot / "snapshots" / ("0" * 40)).mkdir(parents=True)
    file = snapshot / "snapshots" / ("0" * 40) / "model.safetensors"
    safetensors.torch.save_file(vit.state_dict(), file)
    model = vt.load("timm:vit_tiny_patch16_224")
    torch.testing.assert_close(model.W_U, vit.head.weight.T)
    assert model.card["source"].endswith("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k")


def test_the_hub_is_online_again_after_a_load_without_network(no_network):
    with pytest.raises(WeightsError):
        vt.load("timm:vit_tiny_patch16_224")
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


# -- A folder


def test_a_saved_model_loads_as_it_was(loaded, tmp_path):
    loaded.save_pretrained(tmp_path / "saved")
    again = vt.load(tmp_path / "saved")
    assert (again.cfg, again.labels, again.preprocessing) == (
        loaded.cfg,
        loaded.labels,
        loaded.preprocessing,
    )
    assert again.card == loaded.card
    images = torch.randn(1, 3, 224, 224)
    assert torch.equal(again(images), loaded(images))
