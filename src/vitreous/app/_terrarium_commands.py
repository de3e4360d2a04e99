"""The commands of the terrarium and what they take."""

from pathlib import Path
from typing import Annotated

import typer

from vitreous.app._outputs import writable_file

terrarium = typer.Typer(
    help="Look at the terrarium, or take a part of it home.", no_args_is_help=True
)

TaskName = Annotated[str, typer.Option(help="Such as 'kinds'; an unknown one lists them all.")]
Split = Annotated[str | None, typer.Option(help="'test' by default, or the only one.")]
Count = Annotated[int, typer.Option("--n", help="How many items, from the first on.", min=1)]
Seed = Annotated[int, typer.Option(help="Another seed, other scenes.", min=0)]
Size = Annotated[int, typer.Option(help="Pixels of a side.", min=8, max=2048)]


@terrarium.command()
def show(
    task: TaskName = "kinds",
    split: Split = None,
    n: Count = 64,
    seed: Seed = 0,
    size: Size = 96,
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("sheet.png"),
) -> None:
    """Draw a contact sheet with labels."""
    file = writable_file(out)
    from vitreous.app._terrarium import write_sheet

    write_sheet(task, split, n, seed, size, file)
    print("Contact sheet:", out)


@terrarium.command()
def export(
    out: Annotated[
        Path, typer.Option(help="Folder, new or with an unfinished export of the same.")
    ],
    task: TaskName = "kinds",
    split: Split = None,
    n: Count = 1000,
    seed: Seed = 0,
    size: Size = 96,
) -> None:
    """Write pictures, masks and a Parquet table of factors; after a kill, it goes on."""
    from vitreous.app._terrarium import write_items

    made, there = write_items(task, split, n, seed, size, out)
    print(f"Items: {made} written, {there} there already")
    print("Export:", out)
