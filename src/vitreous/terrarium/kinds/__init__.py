"""The kinds of the terrarium, one drawing function each; a file for those that live together."""

# The points of an outline stay together.
# fmt: off
from vitreous.terrarium.kinds import _farm as _farm  # each registers its kinds
from vitreous.terrarium.kinds import _fruit as _fruit
from vitreous.terrarium.kinds import _garden as _garden
from vitreous.terrarium.kinds import _household as _household
from vitreous.terrarium.kinds import _pets as _pets
from vitreous.terrarium.kinds import _shapes as _shapes
from vitreous.terrarium.kinds import _street as _street
from vitreous.terrarium.kinds import _water as _water
from vitreous.terrarium.kinds import _wild as _wild
