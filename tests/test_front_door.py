"""`import vitreous` costs nothing, and every name behind it is there."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import vitreous

ROOT = Path(__file__).parents[1]


def output_of(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    return (done.stdout + done.stderr).decode()


def modules_loaded_by(statement: str) -> set[str]:
    loaded = output_of(
        f"import sys; before = {{*sys.modules}}; {statement}; print(*{{*sys.modules}} - before)"
    )
    return set(loaded.split())


def names_for_type_checkers() -> dict[str, str]:
    """Name -> module, of the imports that only type checkers see."""
    tree = ast.parse(Path(vitreous.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_importing_vitreous_imports_nothing_but_the_standard_library():
    loaded = modules_loaded_by("import vitreous")
    outside = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert outside == {"vitreous"}
    assert "importlib.metadata" not in loaded


def test_asking_for_the_version_imports_no_torch():
    assert "torch" not in modules_loaded_by("import vitreous; vitreous.__version__")


def test_the_version_is_the_one_in_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert vitreous.__version__ == project["version"]


@pytest.mark.parametrize("name", sorted(names_for_type_checkers()))
def test_every_name_leads_to_where_type_checkers_find_it(name):
    home = names_for_type_checkers()[name]
    expected = f"vitreous.{name}" if home == "vitreous" else f"{home}.{name}"
    module, _, attribute = expected.rpartition(".")
    __import__(expected if home == "vitreous" else module)
    assert getattr(vitreous, name) is getattr(sys.modules[module], attribute)


def test_dir_lists_what_type_checkers_find_before_anything_is_imported():
    listed = set(output_of("import vitreous; print(*dir(vitreous))").split())
    assert listed == {*names_for_type_checkers(), "__version__"}


def test_an_unknown_name_raises_and_names_it():
    with pytest.raises(AttributeError, match=re.escape("module 'vitreous' has no attribute 'lod'")):
        vitreous.lod  # noqa: B018


def test_python_suggests_the_nearest_name():
    assert "Did you mean: 'logit_lens'?" in output_of("import vitreous; vitreous.logit_len")
