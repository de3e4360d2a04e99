"""One table of all lenses says what each says alone."""

import numpy as np
import torch

from tests.tiny import random_images, random_model
from vitreous.data import Images
from vitreous.lenses import (
    JacobianLens,
    compare_lenses,
    emergent_segmentation_score,
    evaluate_lens,
    logit_lens,
)


def test_the_table_holds_the_grades_of_each_lens():
    model, pixels = random_model(), random_images(6)
    masks = torch.randint(-1, 5, (6, 12, 8), generator=torch.Generator().manual_seed(0))
    images = Images.from_tensor(pixels, masks=masks, batch_size=4)
    jacobian = JacobianLens.fit(model, random_images(2, seed=9))
    table = compare_lenses(model, images, {"logit": None, "jacobian": jacobian}, background=(-1,))
    assert table.sizes == {"lens": 2, "layer": 4}
    for name, lens in {"logit": None, "jacobian": jacobian}.items():
        row, each = table.sel(lens=name), evaluate_lens(model, pixels, lens)
        read = logit_lens if lens is None else lens
        drawn = emergent_segmentation_score(read(model, pixels), masks, background=(-1,))
        for grade in ("kl", "causal_cosine"):
            np.testing.assert_allclose(row[grade], each[grade].mean("image"), atol=1e-12)
            error = each[grade].std("image", ddof=1) / 6**0.5
            np.testing.assert_allclose(row[f"{grade}_error"], error, atol=1e-12)
        for grade in ("mean_iou", "mean_average_precision", "answer_mean_iou"):
            np.testing.assert_allclose(row[grade], drawn[grade], atol=1e-12)
