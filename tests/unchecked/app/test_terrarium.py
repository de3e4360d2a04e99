"""`vitreous terrarium show` and `export`."""

import json
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from vitreous._claim import Claim
from vitreous.app import _terrarium as app_terrarium
from vitreous.app import run
from vitreous.terrarium import Scene, Task


def ran(*arguments: object) -> int:
    return run(["terrarium", *map(str, arguments)])


def picture(file: Path) -> np.ndarray:
    with Image.open(file) as opened:
        return np.asarray(opened)


def refused(capsys, *arguments: object) -> str:
    assert ran(*arguments) == 2
    printed, line = capsys.readouterr()
    assert printed == ""
    assert line.count("\n") == 1
    return line


def test_show_draws_a_contact_sheet(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert ran("show", "--task", "repeats", "--n", 5, "--seed", 3, "--out", sheet) == 0
    assert picture(sheet).shape[1] == 5 * 104 + 8
    assert str(sheet) in capsys.readouterr().out


def test_export_writes_pictures_masks_and_factors(tmp_path):
    assert ran("export", "--split", "validation", "--n", 4, "--out", tmp_path / "kinds") == 0
    task = Task("kinds", "validation")
    table = pyarrow.parquet.read_table(tmp_path / "kinds/factors.parquet").to_pylist()
    assert [row["index"] for row in table] == [0, 1, 2, 3]
    for row in table:
        made = task.rendering(row["index"])
        assert Scene.from_json(json.loads(row["scene"])) == made.scene
        assert (row["kind"], row["caption"]) == (made.factors["kind"], made.caption)
        assert row["image"] == f"images/{row['kind']}/{row['index']:07d}.png"
        assert np.array_equal(picture(tmp_path / "kinds" / row["image"]), made.image)
        mask = picture(tmp_path / "kinds" / row["mask"])
        assert np.array_equal(mask == 0, made.object_masks[0])
        assert np.array_equal(mask == 255, made.label_map == -1)


@pytest.mark.parametrize(("task", "pictures"), [("motion", 16), ("scenes", 2), ("sprites", 2)])
def test_every_form_of_item_can_be_exported(tmp_path, task, pictures):
    assert ran("export", "--task", task, "--n", 2, "--out", tmp_path / task) == 0
    assert len([*(tmp_path / task / "images").rglob("*.png")]) == pictures
    assert len([*(tmp_path / task / "masks").glob("*.png")]) == pictures


def test_an_interrupted_export_goes_on(tmp_path, capsys):
    assert ran("export", "--n", 5, "--out", tmp_path / "kinds") == 0
    before = {p: p.read_bytes() for p in (tmp_path / "kinds").rglob("*.*") if p.is_file()}
    lost = sorted((tmp_path / "kinds/images").rglob("*.png"))[:2]
    for file in [*lost, tmp_path / "kinds/factors.parquet"]:
        file.unlink()
    capsys.readouterr()
    assert ran("export", "--n", 5, "--out", tmp_path / "kinds") == 0
    assert "2 written, 3 there already" in capsys.readouterr().out
    after = {p: p.read_bytes() for p in (tmp_path / "kinds").rglob("*.*") if p.is_file()}
    assert after == before


def test_ctrl_c_says_that_the_same_command_goes_on(tmp_path, capsys, monkeypatch):
    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(app_terrarium, "_write_item", interrupted)
    assert ran("export", "--n", 3, "--out", tmp_path / "kinds") == 130
    assert "Interrupted; the same command goes on from there." in capsys.readouterr().err
    monkeypatch.undo()
    assert ran("export", "--n", 3, "--out", tmp_path / "kinds") == 0


def test_an_export_of_other_items_is_left_alone(tmp_path, capsys):
    assert ran("export", "--n", 1, "--out", tmp_path / "kinds") == 0
    capsys.readouterr()
    line = refused(capsys, "export", "--n", 1, "--seed", 4, "--out", tmp_path / "kinds")
    assert (
        "must be new, empty or an export of the same items; got one of world 1, task kinds" in line
    )


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    assert "got something else in it" in refused(capsys, "export", "--out", tmp_path)
    assert [*tmp_path.iterdir()] == [tmp_path / "letter.txt"]


def test_an_export_needs_a_folder_around_it(tmp_path, capsys):
    line = refused(capsys, "export", "--out", tmp_path / "nowhere/kinds")
    assert "must lie in a folder; got no" in line


def test_a_file_is_no_folder_to_export_to(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert "must be a folder; got a file" in refused(capsys, "export", "--out", tmp_path / "file")


def test_an_unknown_task_leaves_nothing_behind(tmp_path, capsys):
    line = refused(capsys, "show", "--task", "kindz", "--out", tmp_path / "sheet.png")
    assert "No task is named 'kindz'. Nearest: kinds." in line
    assert not [*tmp_path.iterdir()]


def test_an_unknown_split(tmp_path, capsys):
    line = refused(capsys, "export", "--split", "tests", "--out", tmp_path / "kinds")
    assert "No split of `kinds` is named 'tests'. Nearest: test." in line


def test_more_items_than_there_are(tmp_path, capsys):
    line = refused(capsys, "show", "--n", 10001, "--out", tmp_path / "sheet.png")
    assert "`--n` must be at most the 10000 items of split 'test'; got 10001." in line


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("harm", [b"", b"\x89PNG\r\n", None], ids=["empty", "cut", "gone"])
def test_pictures_that_are_not_whole_are_written_again(tmp_path, capsys, harm):
    assert ran("export", "--n", 2, "--size", 24, "--out", tmp_path / "kinds") == 0
    before = contents(tmp_path)
    mask = tmp_path / "kinds/masks/0000001.png"
    mask.unlink() if harm is None else mask.write_bytes(harm)
    capsys.readouterr()
    assert ran("export", "--n", 2, "--size", 24, "--out", tmp_path / "kinds") == 0
    assert "1 written, 1 there already" in capsys.readouterr().out
    assert contents(tmp_path) == before


def test_a_folder_where_a_picture_should_be_is_left_alone(tmp_path, capsys):
    assert ran("export", "--n", 1, "--size", 24, "--out", tmp_path / "kinds") == 0
    mask = tmp_path / "kinds/masks/0000000.png"
    mask.unlink()
    mask.mkdir()
    capsys.readouterr()
    assert ran("export", "--n", 1, "--size", 24, "--out", tmp_path / "kinds") == 2
    assert f"`{mask}` must be writable; got 'Is a directory'." in capsys.readouterr().err
    assert mask.is_dir()


def test_an_export_takes_more_items_and_never_loses_one(tmp_path, capsys):
    assert ran("export", "--n", 3, "--size", 24, "--out", tmp_path / "kinds") == 0
    before = contents(tmp_path)
    capsys.readouterr()
    line = refused(capsys, "export", "--n", 2, "--size", 24, "--out", tmp_path / "kinds")
    assert f"`--n` must be at least the 3 items that `{tmp_path / 'kinds'}` has already; " in line
    assert contents(tmp_path) == before
    assert ran("export", "--n", 4, "--size", 24, "--out", tmp_path / "kinds") == 0
    assert "1 written, 3 there already" in capsys.readouterr().out
    assert len(pyarrow.parquet.read_table(tmp_path / "kinds/factors.parquet")) == 4


@pytest.mark.parametrize("plan", ["{", "[]", "3", "null", '{"world": 2}'])
def test_an_export_whose_plan_was_changed_is_left_alone(tmp_path, capsys, plan):
    assert ran("export", "--n", 1, "--size", 24, "--out", tmp_path / "kinds") == 0
    (tmp_path / "kinds/export.json").write_text(plan)
    before = contents(tmp_path)
    capsys.readouterr()
    line = refused(capsys, "export", "--n", 1, "--size", 24, "--out", tmp_path / "kinds")
    assert "must be new, empty or an export of the same items; got " in line
    assert contents(tmp_path) == before


def test_what_a_kill_left_of_an_export_is_no_obstacle(tmp_path):
    (tmp_path / "kinds").mkdir()
    for left in (".lock", ".export.json.x1.part"):
        (tmp_path / "kinds" / left).touch()
    assert ran("export", "--n", 1, "--size", 24, "--out", tmp_path / "kinds") == 0
    assert not [*(tmp_path / "kinds").rglob(".*")]


def test_two_exports_at_once_are_one_too_many(tmp_path, capsys):
    with Claim(tmp_path / "kinds"):  # as another process has
        line = refused(capsys, "export", "--n", 1, "--out", tmp_path / "kinds")
        assert [path.name for path in (tmp_path / "kinds").iterdir()] == [".lock"]
    assert "must be written by one process at a time; got another one at work there." in line


def test_a_refused_export_leaves_no_folder_behind(tmp_path, capsys):
    refused(capsys, "export", "--task", "kindz", "--out", tmp_path / "kinds")
    refused(capsys, "export", "--n", 10001, "--out", tmp_path / "kinds")
    assert not [*tmp_path.iterdir()]


def test_a_sheet_that_fits_nowhere(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    line = refused(capsys, "show", "--n", 9000, "--size", 2048, "--out", sheet)
    assert "of at most 268435456 pixels together; got 9000 of 2048 x 2048. Take fewer" in line


def test_without_a_command_there_is_help(capsys):
    for arguments in ([], ["terrarium"]):
        assert run(arguments) == 2
        printed, said = capsys.readouterr()
        assert said == "" and "Usage: vitreous" in printed and "Commands:" in printed
