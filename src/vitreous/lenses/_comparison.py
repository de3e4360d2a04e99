"""All lenses in one table."""

from collections.abc import Collection, Mapping

import torch
import xarray

from vitreous.data import Images
from vitreous.lenses._evaluation import MEASURES, Lens, evaluate_lens
from vitreous.lenses._logit_lens import logit_lens
from vitreous.lenses._segmentation_score import emergent_segmentation_score
from vitreous.lenses._tuning import Classifier


def compare_lenses(
    model: Classifier,
    images: Images,
    lenses: Mapping[str, Lens],
    *,
    background: Collection[int] = (),
) -> xarray.Dataset:
    """Grades several lenses on the same images: what they read, whether it is used, and where.

    Near to the output isn't near to the truth of a patch. A lens whose patches are fitted to the
    answer of the image is pulled toward saying it everywhere, and `answer_mean_iou`, which is that
    said everywhere, is what its maps must beat.

    Args:
        model: A classifier, or `clip.zero_shot(names)`.
        images: Other ones than the lenses were fitted to, with masks of classes, as
            `task.images(masks="labels")` gives them.
        lenses: By name; None is the logit lens.
        background: As in `emergent_segmentation_score`.

    Returns:
        Over `lens` and `layer`, the means over images of what `evaluate_lens` measures, each with
        its standard error (`kl` and `kl_error`, and so on), and `mean_iou`, `pixel_accuracy` and
        `mean_average_precision` of the patches, with `answer_...` beside them; see
        `emergent_segmentation_score`.

    Raises:
        ValueError: No images, no masks or no lenses.
        WeightsError: A lens was fitted for another model.
    """
    if not lenses:
        raise ValueError("`lenses` must hold a lens; got none. Pass {'logit': None} at least.")
    masks = [batch.masks for batch in images]
    if not masks or any(each is None for each in masks):
        raise ValueError(
            "`images` must have masks; got none. Make them with `task.images(masks='labels')`."
        )
    truth = torch.cat([each for each in masks if each is not None])
    tables = [_graded(model, images, lens, truth, background) for lens in lenses.values()]
    return xarray.concat(tables, "lens").assign_coords(lens=list(lenses))


def _graded(
    model: Classifier,
    images: Images,
    lens: Lens,
    masks: torch.Tensor,
    background: Collection[int],
) -> xarray.Dataset:
    each = evaluate_lens(model, images, lens)
    error = each.std("image", ddof=1) / each.sizes["image"] ** 0.5
    error = error.rename({name: f"{name}_error" for name in MEASURES})
    read = logit_lens if lens is None else lens
    said = read(model, images, positions="patches")
    drawn = emergent_segmentation_score(said, masks, background=background)
    drawn = drawn.drop_dims("label")
    return xarray.merge([each.mean("image"), error, drawn], combine_attrs="drop")
