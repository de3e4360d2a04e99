"""The work behind `vitreous train`."""

from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from vitreous.app._exit import Resumable
from vitreous.training import (
    RECIPES,
    CsvLog,
    Progress,
    Recipe,
    RunFolder,
    Start,
    find_log,
    find_recipe,
    is_main_process,
    train,
)


def recipe_lines() -> list[str]:
    """What can be trained, a line each."""
    width = max(map(len, RECIPES))
    return [f"{name:{width}}  {recipe.about}" for name, recipe in RECIPES.items()]


def write_model(
    recipe_name: str,
    out: Path,
    seed: int,
    epochs: int | None,
    steps: int | None,
    checkpoints: bool,
    resume: bool,
    log: str | None,
) -> list[str]:
    """Trains a model into a folder, and returns what to say of it in the process that speaks."""
    recipe = _shortened(find_recipe(recipe_name), epochs, steps)
    folder = RunFolder(out.resolve())
    was_finished = folder.finished is not None
    if resume and not (was_finished or folder.is_unfinished):
        raise OSError(
            f"`{out}` must hold an unfinished training to go on with `--resume`; got none. "
            "Check the path, or leave the option out."
        )
    logs = [CsvLog(folder.path / "log.csv"), _Bar(recipe.name)]
    if log is not None:
        logs.append(find_log(log)(folder.path / log))
    try:
        model = train(recipe, seed=seed, folder=folder, checkpoints=checkpoints, logs=logs)
    except KeyboardInterrupt as interrupt:
        if not folder.is_unfinished:
            raise
        raise Resumable("Interrupted; the same command goes on from there.") from interrupt
    if not is_main_process():
        return []
    tested = [
        f"{_spoken(name)} on {split}: {part:.2%} of {found['images']}"
        for split, found in model.card["tests"].items()
        for name, part in found.items()
        if name != "images"
    ]
    return [*(["Finished before."] if was_finished else []), *tested, f"Model: {out}"]


def _shortened(recipe: Recipe, epochs: int | None, steps: int | None) -> Recipe:
    if epochs is None and steps is None:
        return recipe
    return replace(recipe, plan=replace(recipe.plan, epochs=epochs, steps=steps))


def _spoken(name: str) -> str:
    return name.replace("_", " ").capitalize()


class _Bar:
    """A progress bar, as a log."""

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self, start: Start) -> None:
        self.bar = tqdm(
            total=start.n_steps,
            initial=start.resumed_at or 0,
            unit="step",
            desc=self.name,
            leave=False,
        )

    def write(self, progress: Progress) -> None:
        self.bar.set_postfix(loss=f"{progress.loss:.3f}", refresh=False)
        self.bar.update(progress.step - self.bar.n)

    def flush(self) -> None:
        self.bar.refresh()

    def close(self) -> None:
        self.bar.close()
