"""The commands and what they take."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from vitreous.app._outputs import new_folder, writable_file

app = typer.Typer(
    help="Looks inside vision transformers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(version("vitreous"))
        raise typer.Exit


@app.callback()
def vitreous(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Looks inside vision transformers: every value, and what causes a prediction."""


@app.command()
def explain(
    image: Annotated[
        Path | None, typer.Argument(help="Image file; without one, a handwritten digit.")
    ] = None,
    model: Annotated[str, typer.Option(help="A shipped name, timm:NAME, or a folder.")] = "digits",
    target: Annotated[
        str | None, typer.Option(help="Class to explain, name or index; the top one by default.")
    ] = None,
    minus: Annotated[
        str, typer.Option(help="Class to compare it with, or 'none' for the raw logit.")
    ] = "runner-up",
    weights: Annotated[
        Path | None, typer.Option(help="Safetensors file for a timm: model.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of images whose mean replaces an ablated head.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("report.html"),
    open: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write a report of what made the model predict what it predicts."""
    file = writable_file(out)
    from vitreous.app._explain import write_report

    print("Prediction:", write_report(image, model, target, minus, weights, reference, file))
    print("Report:", out)
    if open:
        typer.launch(file.as_uri())


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="What to train, such as 'digits'.")],
    out: Annotated[
        Path | None, typer.Option(help="New folder for the model; the recipe's name by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same model.", min=0)] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training set; the recipe's by default.", min=1),
    ] = None,
) -> None:
    """Train a model of the package from nothing."""
    folder = new_folder(out or Path(recipe))
    from vitreous.app._train import write_model

    print(f"Test accuracy: {write_model(recipe, folder, seed, epochs):.2%}")
    print("Model:", out or Path(recipe))
