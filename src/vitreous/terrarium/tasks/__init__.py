"""The tasks of the terrarium, a file each."""

from vitreous.terrarium.tasks import _counting as _counting  # each registers its task
from vitreous.terrarium.tasks import _kinds as _kinds
from vitreous.terrarium.tasks import _motion as _motion
from vitreous.terrarium.tasks import _relations as _relations
from vitreous.terrarium.tasks import _repeats as _repeats
from vitreous.terrarium.tasks import _scenes as _scenes
from vitreous.terrarium.tasks import _sprites as _sprites
from vitreous.terrarium.tasks import _spurious as _spurious
from vitreous.terrarium.tasks import _typographic as _typographic
