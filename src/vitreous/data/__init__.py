"""Pictures in: files, folders, datasets, digits; what classes are called."""

from vitreous.data._class_names import ClassNames
from vitreous.data._digits import DIGIT_NAMES, DIGIT_PREPROCESSING, digits
from vitreous.data._files import open_image
from vitreous.data._imagenet import IMAGENET, IMAGENET_SIZES, imagenet_names, recognized_names
from vitreous.data._images import Batch, Images, Sample
from vitreous.data._preprocessing import Picture, Preprocessing
from vitreous.data._samples import SAMPLES, sample

__all__ = [
    "DIGIT_NAMES",
    "DIGIT_PREPROCESSING",
    "IMAGENET",
    "IMAGENET_SIZES",
    "SAMPLES",
    "Batch",
    "ClassNames",
    "Images",
    "Picture",
    "Preprocessing",
    "Sample",
    "digits",
    "imagenet_names",
    "open_image",
    "recognized_names",
    "sample",
]
