"""How the documentation is built; `make docs` runs it."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

import jupytext
from plotly.offline import get_plotlyjs
from sphinx.application import Sphinx

project = "Vitreous"
author = "the Vitreous developers"
copyright = "2026, the Vitreous developers"
release = version_of("vitreous")

sys.path.insert(0, str(Path(__file__).parent))
extensions = [
    "model_cards",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "*.py"]

html_theme = "furo"
html_title = "Vitreous"
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["vitreous.css"]

# A page that fails to run fails the build, and no output is older than the code.
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "py:obj"  # in docstrings, `name` is code, and a link where it names something
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
napoleon_attr_annotations = False  # the signature has them
napoleon_use_ivar = True
napoleon_use_rtype = False


def offer_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """Writes each tutorial as a notebook, without outputs, to where its page links to."""
    if exception or app.builder.format != "html":
        return
    for page in app.env.found_docs:
        source = Path(app.env.doc2path(page))
        if source.suffix == ".py":
            target = Path(app.outdir, "_static", "notebooks", f"{page}.ipynb")
            target.parent.mkdir(parents=True, exist_ok=True)
            jupytext.write(jupytext.read(source, fmt="py:percent"), target)


def offer_plotly(app: Sphinx, exception: Exception | None) -> None:
    """Writes Plotly's script to where the gallery loads it from, so that nothing is fetched."""
    if exception is None and app.builder.format == "html":
        script = Path(app.outdir, "_static", "plotly.min.js")
        script.write_text(get_plotlyjs(), encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("build-finished", offer_notebooks)
    app.connect("build-finished", offer_plotly)
