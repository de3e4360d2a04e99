"""Sets of pictures, in batches."""

import numpy as np
import pytest
import torch
from PIL import Image

from vitreous.data import ClassNames, Images, Preprocessing

EIGHT = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3, crop_fraction=1.0)


def picture(level: int) -> Image.Image:
    return Image.new("RGB", (10, 10), (level, level, level))


def level_of(pixels: torch.Tensor) -> list[int]:
    return EIGHT.inverse(pixels)[:, 0, 0, 0].tolist()


@pytest.fixture
def folder(tmp_path):
    for name, level in (("dog/a.png", 10), ("cat/b.jpg", 20), ("cat/a.png", 30)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(level).save(tmp_path / name)
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / "cat" / ".hidden.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_iteration_covers_every_picture_once_and_in_order():
    pixels = torch.arange(7.0)[:, None, None, None].expand(7, 3, 2, 2)
    batches = list(Images.from_tensor(pixels, torch.arange(7), batch_size=3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert torch.equal(torch.cat([batch.pixels for batch in batches]), pixels)
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(7))


def test_random_access_takes_an_index_a_slice_a_list_and_a_tensor():
    images = Images.from_tensor(torch.randn(5, 3, 2, 2), torch.arange(10, 15))
    assert images[3].labels.tolist() == [13]
    assert images[-1].index.tolist() == [4]
    assert images[1:3].labels.tolist() == [11, 12]
    assert images[[4, 0]].labels.tolist() == [14, 10]
    assert images[torch.tensor([2, 2])].index.tolist() == [2, 2]
    assert len(images) == 5


def test_pictures_are_read_only_when_they_are_asked_for(tmp_path):
    images = Images.from_pictures([picture(9), tmp_path / "missing.png"], EIGHT)
    assert level_of(images[0].pixels) == [9]
    with pytest.raises(ValueError, match=r"missing\.png"):
        images[1]


def test_a_folder_gives_labels_from_its_subfolders(folder):
    images = Images.from_folder(folder, EIGHT)
    assert images.class_names == ClassNames(("cat", "dog"))
    assert images[:].labels.tolist() == [0, 0, 1]
    assert level_of(images[:].pixels) == [30, 20, 10]


def test_a_folder_with_known_classes_gives_the_labels_of_a_model(folder):
    names = ClassNames(("bird", "dog", "fish", "cat"))
    assert Images.from_folder(folder, EIGHT, classes=names)[:].labels.tolist() == [3, 3, 1]


def test_a_subfolder_that_is_no_class_is_an_error(folder):
    with pytest.raises(KeyError, match="No class is named 'dog'"):
        Images.from_folder(folder, EIGHT, classes=ClassNames(("cat", "bird")))


def test_a_flat_folder_gives_no_labels(folder):
    images = Images.from_folder(folder / "cat", EIGHT)
    assert images[:].labels is None
    assert level_of(images[:].pixels) == [30, 20]


def test_a_dataset_of_pictures_and_labels_is_prepared():
    images = Images.from_dataset([(picture(7), 1), (picture(8), 0)], EIGHT)
    assert level_of(images[:].pixels) == [7, 8]
    assert images[:].labels.tolist() == [1, 0]


def test_a_torch_dataset_of_tensors_is_taken_as_it_is():
    pixels = torch.randn(4, 3, 2, 2)
    dataset = torch.utils.data.TensorDataset(pixels, torch.tensor([3, 2, 1, 0]))
    batch = Images.from_dataset(dataset)[:]
    assert torch.equal(batch.pixels, pixels)
    assert batch.labels.tolist() == [3, 2, 1, 0]


def test_masks_travel_with_their_pictures():
    masks = torch.arange(2 * 4 * 4).reshape(2, 4, 4)
    images = Images.from_tensor(torch.randn(2, 3, 4, 4), masks=masks)
    assert torch.equal(images[1].masks[0], masks[1])
    assert images[1].labels is None


def test_arrays_are_pictures():
    images = Images.from_pictures(np.full((2, 10, 10, 3), 5, np.uint8), EIGHT)
    assert level_of(images[:].pixels) == [5, 5]


def test_a_subset_is_numbered_anew():
    images = Images.from_tensor(torch.randn(5, 3, 2, 2), torch.arange(5)).subset([4, 2])
    assert images[:].labels.tolist() == [4, 2]
    assert images[:].index.tolist() == [0, 1]
    assert [len(batch) for batch in images.batched(1)] == [1, 1]
