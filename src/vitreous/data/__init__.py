"""Pictures in: files, folders, datasets, digits; what classes are called; corruptions of pixels.

Corruptions take a picture or several (a Pillow image, a uint8 array, or a tensor that a model
takes) and masks, and give them back in the same form with only the named region changed::

    from vitreous.data import inpaint_region, open_image

    photo = open_image("cat.jpg")
    without = inpaint_region(photo, open_image("cat-mask.png"))
"""

from vitreous.data._class_names import ClassNames
from vitreous.data._digits import DIGIT_NAMES, DIGIT_PREPROCESSING, digits
from vitreous.data._files import open_image
from vitreous.data._imagenet import IMAGENET, IMAGENET_SIZES, imagenet_names, recognized_names
from vitreous.data._images import Batch, Images, Sample
from vitreous.data._inpainting import inpaint_region
from vitreous.data._letters import (
    LETTER_HEIGHT,
    LETTERS,
    letter_strokes,
    letters_width,
    require_letters,
)
from vitreous.data._objects import swap_objects
from vitreous.data._pixel_forms import Masks, Pixels
from vitreous.data._preprocessing import Picture, Preprocessing
from vitreous.data._regions import blur_region, mean_region, noise_region, resample_region
from vitreous.data._samples import SAMPLES, sample
from vitreous.data._shuffling import shuffle_patches
from vitreous.data._words import paint_word, word_mask

__all__ = [
    "DIGIT_NAMES",
    "DIGIT_PREPROCESSING",
    "IMAGENET",
    "IMAGENET_SIZES",
    "LETTERS",
    "LETTER_HEIGHT",
    "SAMPLES",
    "Batch",
    "ClassNames",
    "Images",
    "Masks",
    "Picture",
    "Pixels",
    "Preprocessing",
    "Sample",
    "blur_region",
    "digits",
    "imagenet_names",
    "inpaint_region",
    "letter_strokes",
    "letters_width",
    "mean_region",
    "noise_region",
    "open_image",
    "paint_word",
    "recognized_names",
    "require_letters",
    "resample_region",
    "sample",
    "shuffle_patches",
    "swap_objects",
    "word_mask",
]
