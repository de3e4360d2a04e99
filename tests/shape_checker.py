"""The checker behind every annotation of `vitreous` in the tests (`--jaxtyping-packages`)."""

from typing import Any, Self

from beartype import BeartypeConf, FrozenDict, beartype

# As static checkers see it: an int is a float, and `Self`, which one method alone cannot know, is
# left to them.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict({Self: Any})))
