"""One word means one thing: shapes in annotations use the words of `vitreous._axes`."""

import ast
import re
from pathlib import Path

import jaxtyping
import pytest

import vitreous
from vitreous._axes import AXES

SOURCE = Path(vitreous.__file__).parent
KINDS = {name for name in vars(jaxtyping) if name[0].isupper()}


def shapes_in(text):
    """Every shape in annotations such as `Float[Tensor, "batch tokens"]`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name | ast.Attribute):
            kind = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
            if kind in KINDS and len(parts) == 2 and isinstance(parts[1], ast.Constant):
                yield parts[1].value


def words_of(shape):
    """The words of a shape; numbers, `...` and `_` need no meaning."""
    stripped = (re.sub(r"^[*#?]+", "", part) for part in shape.split())
    return {word for word in stripped if not re.fullmatch(r"\d+|\.\.\.|_|", word)}


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_shapes_use_known_words(path):
    used = {word for shape in shapes_in(path.read_text()) for word in words_of(shape)}
    assert used <= set(AXES)


def test_the_scan_finds_words():
    text = 'def f(x: Float[Tensor, "*#batch 3 ... wide"]) -> jaxtyping.Bool[Array, " _ tall"]: ...'
    found = [words_of(shape) for shape in shapes_in(text)]
    assert sorted(found, key=len) == [{"tall"}, {"batch", "wide"}]
