"""What is installed is what is in the tree: weights, pictures, web pages and all."""

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]


def test_the_wheel_holds_every_file_of_the_package(tmp_path):
    package = ROOT / "src/vitreous"
    expected = {
        f"vitreous/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path)))
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    assert packed == expected
