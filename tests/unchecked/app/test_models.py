"""`vitreous models`."""

import json
import subprocess
import sys

import vitreous as vt
from vitreous.app import run


def printed(capsys, *arguments: str) -> list[str]:
    assert run(["models", *arguments]) == 0
    out, said = capsys.readouterr()
    assert said == ""
    return out.splitlines()


def test_everything_is_listed(capsys):
    lines = printed(capsys)
    everything = vt.list_models()
    assert lines[: len(everything) + 1] == str(everything).splitlines()
    loaded = sum(model.loads for model in everything)
    assert f"Found {len(everything)}; {loaded} can be loaded." in lines


def test_words_narrow_it_down(capsys):
    lines = printed(capsys, "vit_tiny", "r_s16", "224")
    assert [line.split()[1] for line in lines[1:2]] == ["vit_tiny_r_s16_p8_224"]
    assert "Found 1; 1 can be loaded." in lines
    assert lines[-1] == 'vt.load("timm:vit_tiny_r_s16_p8_224")'


def test_filters_narrow_it_down(capsys):
    lines = printed(capsys, "--library", "timm", "--readout", "map")
    table = str(vt.list_models(library="timm", readout="map")).splitlines()
    assert len(table) > 1 and lines[: len(table)] == table


def test_those_that_fail_stand_there_with_their_reasons(capsys):
    lines = printed(capsys, "--failed")
    failed = vt.list_models(failed=True)
    assert lines[: len(failed) + 1] == str(failed).splitlines()
    assert f"Found {len(failed)}; 0 can be loaded." in lines
    assert not [line for line in lines if "vt.load" in line]


def test_json_has_all_sizes(capsys):
    found = json.loads("\n".join(printed(capsys, "digits", "--json")))
    assert [(m["load_as"], m["loads"], m["layers"]) for m in found] == [("digits", True, 4)]
    assert found[0]["parameters"] == vt.list_models("digits")[0].parameters


def test_a_name_that_nothing_has_gives_the_nearest(capsys):
    assert run(["models", "vit_bsae_patch16_224"]) == 2
    out, line = capsys.readouterr()
    assert out == "" and line.count("\n") == 1
    assert "No model is named 'vit_bsae_patch16_224'. Nearest: vit_base_patch16_224" in line


def test_an_unknown_library_lists_them_all(capsys):
    assert run(["models", "--library", "keras"]) == 2
    assert "There are: shipped, timm, transformers, open_clip," in capsys.readouterr().err


def test_the_table_imports_no_torch():
    code = (
        "import sys; from vitreous.app import run; "
        "code = run(['models', 'vit_tiny']); sys.exit(code or 'torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0
    assert "vit_tiny_patch16_224" in ended.stdout
