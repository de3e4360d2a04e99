"""Models of transformers from folders: names old and new, other heads, what gets refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import safetensors.torch
import torch
import transformers
from huggingface_hub import errors
from torch import Tensor

import vitreous as vt
from tests.parity.transformers_models import (
    CASES,
    VIT,
    random_images,
    random_model,
    random_of,
    readout,
)
from vitreous.models.adapters import _transformers_files

FILES = [
    "vit",
    "vit, gray",
    "vit classifier",
    "vit, no classes",
    "deit classifier",
    "deit with teacher",
    "mae",
    "dinov2, gated",
    "dinov2, no classes",
    "dinov2 with registers, gated classifier",
    "dinov3",
    "dinov3, other biases",
    "beit, both biases",
    "clip, projected",
    "clip, both towers",
    "clip classifier",
    "siglip",
    "siglip, both towers",
    "siglip classifier",
    "siglip 2, both towers",
]


def apart(model: vt.HookedViT, module: Any) -> float:
    images = random_images(module)
    truth = readout(module, images)
    with torch.no_grad():
        got = model(images)
    assert got is not None
    assert got.shape == truth.shape
    return ((got - truth).abs().max() / truth.abs().max()).item()


def load(folder: Path, **how: Any) -> vt.HookedViT:
    return vt.load(f"hf:{folder}", tower="image", dtype=torch.float64, **how)


@pytest.mark.parametrize("case", FILES)
def test_a_saved_model_loads_and_equals_it(case, tmp_path):
    module = random_model(case)
    module.save_pretrained(tmp_path)
    model = load(tmp_path)
    assert apart(model, module) <= 1e-10
    assert model.card["source"] == f"transformers {transformers.__version__}, `{tmp_path}`"


# ---- names of version 4

OLD_VIT = {
    "layers": "encoder.layer",
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
OLD_DINO = {name: old for name, old in OLD_VIT.items() if name.startswith("attention")}
OLD_BEIT = OLD_VIT | {
    "shared_position_bias": "encoder.relative_position_bias",
    ".relative_position_bias.relative_position_bias_table": (
        ".attention.attention.relative_position_bias.relative_position_bias_table"
    ),
}
OLD = {
    "vit": OLD_VIT,
    "vit classifier": OLD_VIT,
    "deit with teacher": OLD_VIT,
    "mae": OLD_VIT,
    "dinov2 classifier": OLD_DINO,
    "dinov2 with registers": OLD_DINO,
    "dinov3": {"model.layer": "layer"},
    "beit, both biases": OLD_BEIT,
    "clip": {"^": "vision_model."},
    "siglip": {"^": "vision_model."},
}


def renamed(tensors: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    for new, old in names.items():
        pattern = new if new == "^" else re.escape(new)
        keep = r"(?<!encoder)" if new.startswith(".relative") else ""
        tensors = {re.sub(keep + pattern, old, name): t for name, t in tensors.items()}
    return tensors


def is_renamed(name: str, names: dict[str, str]) -> bool:
    return any(new == "^" or new in name for new in names)


def rewrite(folder: Path, change: Any) -> None:
    path = folder / "model.safetensors"
    tensors = change(safetensors.torch.load_file(path))
    safetensors.torch.save_file({k: t.contiguous() for k, t in tensors.items()}, path)


@pytest.mark.parametrize(("case", "names"), OLD.items(), ids=OLD)
def test_names_of_version_4_are_understood(case, names, tmp_path):
    module = random_model(case)
    module.save_pretrained(tmp_path)
    saved = {name: t for name, t in module.state_dict().items() if "text_model" not in name}
    old = renamed(saved, names)
    assert not set(old) & {name for name in saved if is_renamed(name, names)}
    rewrite(tmp_path, lambda _: old)
    assert apart(load(tmp_path), module) <= 1e-10


def test_a_packed_gated_mlp_of_version_4_is_taken_apart(tmp_path):
    module = random_model("dinov2, gated")
    module.save_pretrained(tmp_path)
    packed: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        if "gate_proj" in name:
            up = module.state_dict()[name.replace("gate_proj", "up_proj")]
            packed[name.replace("gate_proj", "weights_in")] = torch.cat([tensor, up])
        elif "up_proj" not in name:
            packed[name.replace("down_proj", "weights_out")] = tensor
    rewrite(tmp_path, lambda _: packed)
    assert apart(load(tmp_path), module) <= 1e-10


def test_buffers_and_pretraining_parts_of_older_files_are_left_out(tmp_path):
    module = random_model("beit, both biases")
    module.save_pretrained(tmp_path)
    table = "layers.0.attention.attention.relative_position_bias.relative_position_index"
    rewrite(tmp_path, lambda t: t | {table: torch.zeros(3, dtype=torch.long)})
    assert apart(load(tmp_path), module) <= 1e-10


def test_the_encoder_of_a_pretraining_model_loads(tmp_path):
    config = transformers.ViTMAEConfig(
        **CASES["mae"][2], decoder_hidden_size=8, decoder_num_attention_heads=2
    )
    module = random_of(transformers.ViTMAEForPreTraining(config))
    module.save_pretrained(tmp_path)
    assert apart(load(tmp_path), module.vit) <= 1e-10


# ---- heads, files and shards


def test_a_fine_tuned_head_of_another_size_loads_from_its_own_file(tmp_path):
    random_model("vit classifier").save_pretrained(tmp_path)
    config = transformers.ViTConfig(**VIT, num_labels=9)
    tuned = random_of(transformers.ViTForImageClassification(config))
    path = tmp_path / "tuned.safetensors"
    safetensors.torch.save_file(tuned.state_dict(), path)
    model = load(tmp_path, weights=path)
    assert apart(model, tuned) <= 1e-10
    assert model.cfg.n_classes == 9
    assert model.labels is None


def test_a_file_with_a_config_beside_it_needs_no_repository(tmp_path):
    module = random_model("vit classifier")
    module.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    model = vt.load("hf:an-organization/a-model", weights=weights, dtype=torch.float64)
    assert apart(model, module) <= 1e-10


def test_shards_are_put_together(tmp_path):
    module = random_model("vit classifier")
    module.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert apart(load(tmp_path), module) <= 1e-10
    next(tmp_path.glob("*.safetensors")).unlink()
    with pytest.raises(vt.WeightsError, match="must hold every file that"):
        load(tmp_path)


def test_labels_come_from_the_config_unless_they_are_stopgaps(tmp_path):
    names = dict(enumerate(["cat", "dog", "bird", "fish", "bee"]))
    config = transformers.ViTConfig(**VIT, num_labels=5, id2label=names)
    module = random_of(transformers.ViTForImageClassification(config))
    assert tuple(vt.from_module(module).labels or ()) == tuple(names.values())
    module.save_pretrained(tmp_path)
    assert tuple(load(tmp_path).labels or ()) == tuple(names.values())
    assert vt.from_module(random_model("vit classifier")).labels is None


def test_a_model_of_half_precision_loads_in_the_dtype_that_is_asked_for(tmp_path):
    module = random_model("dinov2, gated").half()
    module.save_pretrained(tmp_path)
    assert apart(load(tmp_path), module.double()) <= 1e-10
    assert vt.load(f"hf:{tmp_path}").placement.dtype == torch.float32


# ---- what gets refused


def saved(case: str, folder: Path) -> Path:
    random_model(case).save_pretrained(folder)
    return folder


def test_a_missing_tensor_is_named_with_the_nearest_that_is_there(tmp_path):
    def rename(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        name = next(n for n in tensors if n.endswith("layernorm_before.bias"))
        return {
            n.replace("before.bias", "befor.bias") if n == name else n: t
            for n, t in tensors.items()
        }

    rewrite(saved("vit", tmp_path), rename)
    with pytest.raises(
        vt.WeightsError, match=r"1 missing, first `.*before.bias` \(nearest .*befor"
    ):
        load(tmp_path)


def test_a_tensor_of_another_shape_is_named(tmp_path):
    rewrite(
        saved("vit", tmp_path),
        lambda t: t | {"embeddings.cls_token": torch.zeros(1, 1, 25)},
    )
    with pytest.raises(
        vt.WeightsError, match=r"`embeddings.cls_token`.*\[1, 1, 24\]; got \[1, 1, 25\]"
    ):
        load(tmp_path)


def test_a_truncated_file_is_refused(tmp_path):
    path = saved("vit", tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(vt.WeightsError, match="must be a whole safetensors file"):
        load(tmp_path)


def test_quantized_weights_are_refused(tmp_path):
    rewrite(saved("vit", tmp_path), lambda t: {n: x.to(torch.int8) for n, x in t.items()})
    with pytest.raises(vt.WeightsError, match="must hold floating-point numbers"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("SwinModel", {"embed_dim": 8, "depths": [1], "num_heads": [2], "image_size": 32}),
        ("ConvNextModel", {"hidden_sizes": [8], "depths": [1], "num_stages": 1}),
    ],
)
def test_other_architectures_are_pointed_to_wrap(name, config, tmp_path):
    module = getattr(transformers, name)(
        getattr(transformers, name.replace("Model", "Config"))(**config)
    )
    with pytest.raises(vt.UnsupportedModelError, match=r"vt\.wrap"):
        vt.from_module(module)
    module.save_pretrained(tmp_path)
    with pytest.raises(vt.UnsupportedModelError, match=r"`model_type`.*vt.wrap"):
        load(tmp_path)


def test_a_folder_without_weights_or_config_says_what_it_needs(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(vt.WeightsError, match=r"must hold a `config\.json`"):
        load(tmp_path / "empty")
    (saved("vit", tmp_path) / "model.safetensors").unlink()
    with pytest.raises(vt.WeightsError, match=r"model\.safetensors.*got none of them"):
        load(tmp_path)


def test_a_config_that_transformers_refuses_gives_one_line(tmp_path):
    path = saved("vit", tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hidden_size": "wide"}))
    with pytest.raises(vt.WeightsError, match="must describe a `vit`") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


# ---- the hub, without one


def refusal(kind: type) -> Any:
    error = kind.__new__(kind)
    Exception.__init__(error, "several\nlines")
    return error


def hub_of(monkeypatch: pytest.MonkeyPatch, answer: Any, online: bool = True) -> None:
    monkeypatch.setattr(_transformers_files, "answers", lambda _url: online)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", answer)


def test_files_of_the_hub_are_asked_for_by_name_and_revision(monkeypatch, tmp_path):
    module = random_model("vit classifier")
    module.save_pretrained(tmp_path / "there")
    asked = []

    def download(name: str, file: str, **how: Any) -> str:
        asked.append((name, file, how["revision"], how["cache_dir"], how["local_files_only"]))
        if not (tmp_path / "there" / file).is_file():
            raise refusal(errors.RemoteEntryNotFoundError)
        (tmp_path / "cache").mkdir(exist_ok=True)
        return str(shutil.copy(tmp_path / "there" / file, tmp_path / "cache" / file))

    hub_of(monkeypatch, download)
    model = vt.load("hf:a/b", revision="v1", cache_dir=tmp_path, dtype=torch.float64)
    assert apart(model, module) <= 1e-10
    assert asked[0] == ("a/b", "config.json", "v1", tmp_path, False)
    assert [file for _, file, *_ in asked][-1] == "model.safetensors"


def refusing(error: Exception) -> Any:
    def download(*_: Any, **__: Any) -> str:
        raise error

    return download


@pytest.mark.parametrize(
    ("kind", "raised", "words"),
    [
        (errors.GatedRepoError, vt.WeightsError, "it is gated. Accept its terms"),
        (errors.RevisionNotFoundError, vt.UnknownNameError, "No revision of `a/b`"),
        (errors.RepositoryNotFoundError, vt.UnknownNameError, "no open repository"),
        (errors.HFValidationError, vt.UnknownNameError, "Pass ORGANIZATION/NAME"),
        (ConnectionError, vt.WeightsError, "must be downloaded whole"),
    ],
)
def test_refusals_of_the_hub_are_one_line(kind, raised, words, monkeypatch):
    hub_of(monkeypatch, refusing(refusal(kind)))
    with pytest.raises(raised, match=words) as caught:
        vt.load("hf:a/b")
    assert "\n" not in str(caught.value)


def test_without_a_network_the_cache_and_weights_are_named(monkeypatch, tmp_path):
    hub_of(monkeypatch, refusing(refusal(errors.LocalEntryNotFoundError)), online=False)
    with pytest.raises(vt.WeightsError, match=f"can't be reached.*cache `{tmp_path}`.*weights="):
        vt.load("hf:a/b", cache_dir=tmp_path)


def test_local_files_only_asks_no_network(monkeypatch):
    def ask(_url: str) -> bool:
        raise AssertionError("asked")

    hub_of(monkeypatch, refusing(refusal(errors.LocalEntryNotFoundError)))
    monkeypatch.setattr(_transformers_files, "answers", ask)
    with pytest.raises(vt.WeightsError, match="`local_files_only` is set"):
        vt.load("hf:a/b", local_files_only=True)
