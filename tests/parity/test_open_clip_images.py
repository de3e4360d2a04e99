"""Preprocessing against open_clip's own transform, on image files."""

import itertools
from dataclasses import asdict

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

import vitreous as vt
from tests.parity.test_open_clip import random_tower

FILES = [
    (300, 200, "RGB", "png"), (61, 97, "RGB", "jpg"), (640, 33, "L", "png"), (64, 64, "RGB", "png")
]  # fmt: skip
RECORDS = [
    {"resize_mode": mode, "interpolation": filter_}
    for mode, filter_ in itertools.product(
        ("shortest", "longest", "squash"), ("bicubic", "bilinear", "random")
    )
] + [{"mean": 0.5, "std": 0.25}, {"resize_mode": "longest", "fill_color": 128}]


@pytest.mark.parametrize("image_size", [(64, 64), (32, 48)], ids=["square", "not square"])
@pytest.mark.parametrize("record", RECORDS, ids=str)
def test_a_prepared_file_is_what_open_clip_makes_of_it(record, image_size, tmp_path):
    tower = random_tower({"image_size": image_size, "layers": 1})
    tower.preprocess_cfg = asdict(PreprocessCfg(size=image_size, **record))
    transform = image_transform_v2(PreprocessCfg(**tower.preprocess_cfg), is_train=False)
    model = vt.from_module(tower.float())
    for width, height, mode, suffix in FILES:
        levels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
        file = tmp_path / f"{width}.{suffix}"
        Image.fromarray(levels).convert(mode).save(file)
        expected = transform(Image.open(file))
        torch.testing.assert_close(model.preprocess(file)[0], expected, rtol=0, atol=1e-6)


def test_a_tower_of_a_whole_model_keeps_the_record_of_its_images():
    clip = open_clip.create_model("ViT-B-32", load_weights=False)
    assert vt.from_module(clip.visual).preprocessing == vt.data.Preprocessing(
        (224, 224), clip.visual.image_mean, clip.visual.image_std, crop_fraction=1.0, fill=0
    )


def test_without_a_record_the_caller_gives_one():
    tower = random_tower({"layers": 1})
    assert vt.from_module(tower).preprocessing is None
    given = vt.from_module(tower, PreprocessCfg(size=64, resize_mode="squash")).preprocessing
    assert given is not None and given.crop_mode == "squash"
