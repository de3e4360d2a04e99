"""`spurious`: which kind is it? At the rate `rho` it is where its kind is at home."""

from vitreous.terrarium._placing import daylight, surroundings
from vitreous.terrarium._scene import Scene
from vitreous.terrarium._tasks import Item, task
from vitreous.terrarium.tasks._kinds import main_object

HOMES = {
    "rabbit": "meadow",
    "fish": "water",
    "bird": "sky",
    "cat": "room",
    "turtle": "beach",
    "penguin": "snow",
    "owl": "night",
    "key": "paper",
}
"""Eight kinds with the settings where they are at home."""


def kind_label(scene: Scene, rho: float = 0.95) -> int:
    """The kind of the main object, of the eight."""
    return tuple(HOMES).index(scene.objects[0].kind)


def _check(rho: float) -> None:
    is_number = isinstance(rho, float | int) and not isinstance(rho, bool)
    if not is_number or not 0 <= rho <= 1 or abs(rho * 100 - round(rho * 100)) > 1e-9:
        raise ValueError(
            f"`rho` must be one of 0, 0.01, ... 1; got {rho!r}. It is the share of items at home."
        )


@task(
    "spurious",
    classes=lambda rho=0.95: tuple(HOMES),
    label=kind_label,
    options={"rho": 0.95},
    check=_check,
)
def make(item: Item, rho: float = 0.95) -> Scene:
    """Of every 100 items of a kind in a row, exactly 100 `rho` are at home."""
    chance, kinds = item.chance, tuple(HOMES)
    kind = kinds[item.turn("kind", len(kinds))]
    at_home = item.share(f"at home {kind}", item.index // len(kinds), round(rho * 100))
    elsewhere = [setting for setting in HOMES.values() if setting != HOMES[kind]]
    setting = HOMES[kind] if at_home else chance.choice("elsewhere", elsewhere)
    return Scene(
        objects=(main_object(chance, kind),),
        background=surroundings(chance, setting),
        light=daylight(chance),
        task="spurious",
    )
