"""The compiled models of the terrarium, a file each."""

from vitreous.terrarium._circuit import Circuit
from vitreous.terrarium.compiled._corners import CORNERS
from vitreous.terrarium.compiled._count import COUNT
from vitreous.terrarium.compiled._mirror import MIRROR
from vitreous.terrarium.compiled._redundant import REDUNDANT
from vitreous.terrarium.compiled._repeat import REPEAT
from vitreous.terrarium.compiled._switch import SWITCH

CIRCUITS: dict[str, Circuit] = {
    circuit.name: circuit for circuit in (CORNERS, REPEAT, COUNT, MIRROR, SWITCH, REDUNDANT)
}
