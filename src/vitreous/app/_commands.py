"""The commands and what they take."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from vitreous.app._outputs import writable_file
from vitreous.app._terrarium_commands import terrarium

app = typer.Typer(
    help="Looks inside vision transformers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(terrarium, name="terrarium")


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
        Path | None,
        typer.Argument(help="Image file; without one, a sample that goes with the model."),
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option(help="A picture that comes with Vitreous; an unknown name lists them all."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="A shipped name, timm:NAME, or a folder.")
    ] = "terrarium-4l",
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
    label: Annotated[
        list[str] | None,
        typer.Option(help="A class for a model of images and texts, as often as you like."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("report.html"),
    open: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write a report of what made the model predict what it predicts."""
    file = writable_file(out)
    from vitreous.app._explain import write_report

    lines = write_report(image, sample, model, target, minus, weights, reference, label or [], file)
    for line in lines:
        print(line)
    print("Report:", out)
    if open:
        typer.launch(file.as_uri())


@app.command()
def check(
    model: Annotated[
        str,
        typer.Argument(
            help="A shipped name, a folder, or timm:, hf:, open_clip:, torchvision: or prisma:NAME."
        ),
    ],
    weights: Annotated[
        Path | None, typer.Option(help="File of weights, such as your own checkpoint.")
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(help="Picture to run both on, as often as you like; random ones by default."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to run; it must know float64.")] = "cpu",
    tower: Annotated[
        str | None,
        typer.Option(help="Of a model of images and texts: image, text or both, the default."),
    ] = None,
) -> None:
    """Compare a model with its source library, value by value; exit code 1 if they differ."""
    from vitreous.app._check import check_model

    held = []
    for table, holds in check_model(model, weights, image or (), device, tower):
        print(table)
        held.append(holds)
    if not all(held):
        raise typer.Exit(1)


@app.command()
def models(
    search: Annotated[
        list[str] | None,
        typer.Argument(help="Words that the name must have, such as 'dinov2 large'."),
    ] = None,
    library: Annotated[
        str | None, typer.Option(help="Such as 'timm'; an unknown one lists them all.")
    ] = None,
    readout: Annotated[
        str | None, typer.Option(help="Such as 'cls'; an unknown one lists them all.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="What doesn't load, and why.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With all sizes, for programs.")] = False,
) -> None:
    """Print which models load, and how far each is from its source."""
    from vitreous.app._models import model_lines

    for line in model_lines(search or [], library, readout, failed, json):
        print(line)


@app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(help="What to train, such as 'digits'.", show_default=False)
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the model, new or with an unfinished training of the same recipe and "
            "seed, which goes on; the recipe's name by default."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same model.", min=0)] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training set; the recipe's by default.", min=1),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Batches, instead of passes.", min=1)] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Keep weights at steps that double.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Refuse to begin anew where there is nothing to resume."),
    ] = False,
    log: Annotated[
        str | None, typer.Option(help="'tensorboard' or 'wandb', besides log.csv.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Print what can be trained.")] = False,
) -> None:
    """Train a model of the package from nothing; after a kill, the same command goes on."""
    if not recipe and not list_:
        raise ValueError(
            "A recipe must be named; got none. Pass one of those that `--list` prints."
        )
    from vitreous.app._train import recipe_lines, write_model

    folder = out or Path(recipe)
    lines = (
        recipe_lines()
        if list_
        else write_model(recipe, folder, seed, epochs, steps, checkpoints, resume, log)
    )
    for line in lines:
        print(line)
