"""Every head score once more, slowly: one image, one head, one query and one key at a time.

`definition(name, ...)` gives a number per candidate, or None where the score isn't defined. Nothing
here is shared with `vitreous.heads` but the words of the definitions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

NOTHING = float("nan")
Pair = tuple[int, int]


@dataclass
class Case:
    """One head in one image. `rows` are lists of numbers, patterns or scores.

    Scores of keys that a query can't see are None, as are patterns.
    """

    rows: list[list[float | None]]
    n_cls: int
    n_distillation: int
    n_registers: int
    grid: tuple[int, int, int]
    selected: list[int]
    shown: list[int] | None = None  # what each patch shows; negative for nothing
    objects: list[float] | None = None  # coverage of each patch
    words: list[float] | None = None
    of: str = "pattern"

    @property
    def n_prefix(self) -> int:
        return self.n_cls + self.n_distillation + self.n_registers

    @property
    def n_tokens(self) -> int:
        return len(self.rows)

    @property
    def patches(self) -> range:
        return range(self.n_prefix, self.n_tokens)

    def place(self, token: int) -> tuple[int, int, int]:
        patch = token - self.n_prefix
        _, rows, columns = self.grid
        return patch // (rows * columns), (patch // columns) % rows, patch % columns

    def visible(self, query: int) -> list[int]:
        return [key for key in range(self.n_tokens) if self.rows[query][key] is not None]


def definition(name: str, case: Case) -> list[float]:
    return _DEFINITIONS[name](case)


# ---- two ways to compare a query's row with a template


def compare(case: Case, weight: Callable[[int, int], float], queries: list[int]) -> float:
    """Mean over the queries that count, of what their attention has in common with a template."""
    values, chances, bests = [], [], []
    for query in queries:
        keys = case.visible(query)
        template = [weight(query, key) for key in keys]
        row = [case.rows[query][key] for key in keys]
        if case.of == "scores":
            if max(template) > min(template):
                values.append(correlation(row, template))
        elif max(template) > 0:
            values.append(sum(a * b for a, b in zip(row, template, strict=True)))
            chances.append(sum(template) / len(keys))
            bests.append(max(template))
    if not values:
        return NOTHING
    if case.of == "scores":
        return mean(values)
    return between(mean(values), mean(chances), mean(bests))


def correlation(a: list[float], b: list[float]) -> float:
    a = [x - mean(a) for x in a]
    b = [x - mean(b) for x in b]
    lengths = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths > 1e-12 else 0.0


def between(value: float, chance: float, best: float) -> float:
    return (value - chance) / (best - chance) if best - chance > 1e-6 else NOTHING


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else NOTHING


def patch_queries(case: Case) -> list[int]:
    return [query for query in case.selected if query in case.patches]


# ---- the scores


def to_tokens(case: Case, tokens: list[int]) -> list[float]:
    others = [query for query in case.selected if query not in tokens]
    return [compare(case, lambda q, k: float(k in tokens), others)] if tokens else [NOTHING]


def cls(case: Case) -> list[float]:
    return to_tokens(case, list(range(case.n_cls)))


def registers(case: Case) -> list[float]:
    return to_tokens(case, list(range(case.n_prefix - case.n_registers, case.n_prefix)))


def sink(case: Case) -> list[float]:
    found = []
    for target in case.patches:
        others = [query for query in case.selected if query != target]
        able = [query for query in others if target in case.visible(query)]
        if not able or len(able) < len(others) / 2:
            found.append(NOTHING)
        else:
            found.append(compare(case, lambda q, k, target=target: float(k == target), able))
    return found


def at_corner(case: Case, token: int) -> bool:
    _, row, column = case.place(token)
    return row in (0, case.grid[1] - 1) and column in (0, case.grid[2] - 1)


def at_border(case: Case, token: int) -> bool:
    _, row, column = case.place(token)
    return row in (0, case.grid[1] - 1) or column in (0, case.grid[2] - 1)


def corner(case: Case) -> list[float]:
    corners = [token for token in case.patches if at_corner(case, token)]
    if len(corners) == len(case.patches):
        return [NOTHING]
    return [compare(case, lambda q, k: float(k in corners), case.selected)]


def edges(case: Case) -> list[float]:
    border = [token for token in case.patches if at_border(case, token)]
    if len(border) == len(case.patches):
        return [NOTHING]
    some = [token for token in border if not at_corner(case, token)]
    return [compare(case, lambda q, k: float(k in some), case.selected)]


def itself(case: Case) -> list[float]:
    return [compare(case, lambda q, k: float(q == k), patch_queries(case))]


def step(case: Case, query: int, key: int) -> tuple[int, int, int]:
    here, there = case.place(query), case.place(key)
    return (there[0] - here[0], there[1] - here[1], there[2] - here[2])


def offset(case: Case) -> list[float]:
    queries = patch_queries(case)
    steps = {step(case, q, k) for q in case.patches for k in case.patches} - {(0, 0, 0)}
    found = []
    for each in sorted(steps):
        able = [
            q
            for q in queries
            if any(k in case.patches and step(case, q, k) == each for k in case.visible(q))
        ]
        if len(able) * 2 >= len(queries) and able:
            found.append(
                compare(
                    case,
                    lambda q, k, each=each: float(k in case.patches and step(case, q, k) == each),
                    able,
                )
            )
    return found


def spread_over(case: Case, group_of: Callable[[tuple[int, int, int]], int | None]) -> float:
    """Mass on a set of steps beyond the best group, between uniform and even over the set."""
    queries = patch_queries(case)

    def inside(query: int, key: int) -> bool:
        return key in case.patches and group_of(step(case, query, key)) is not None

    if all(inside(q, k) for q in case.patches for k in case.patches):
        return NOTHING
    if case.of == "scores":
        return compare(case, lambda q, k: float(inside(q, k)), queries)

    def beyond(pattern: Callable[[int, int], float]) -> float:
        groups: dict[int, float] = {}
        for query in queries:
            for key in case.visible(query):
                if inside(query, key):
                    group = group_of(step(case, query, key))
                    groups[group] = groups.get(group, 0) + pattern(query, key) / len(queries)
        return sum(groups.values()) - max(groups.values(), default=0)

    def even(query: int, key: int) -> float:
        return 1 / sum(inside(query, each) for each in case.visible(query))

    return between(
        beyond(lambda q, k: case.rows[q][k]),
        beyond(lambda q, k: 1 / len(case.visible(q))),
        beyond(even),
    )


def row(case: Case) -> list[float]:
    return [spread_over(case, lambda s: s[2] if s[:2] == (0, 0) else None)]


def column(case: Case) -> list[float]:
    return [spread_over(case, lambda s: s[1] if (s[0], s[2]) == (0, 0) else None)]


def local(case: Case) -> list[float]:
    return [
        spread_over(
            case,
            lambda s, radius=radius: (
                100 * s[1] + s[2] if s[0] == 0 and max(abs(s[1]), abs(s[2])) <= radius else None
            ),
        )
        for radius in (1, 2, 3)
    ]


def modulus(case: Case) -> list[float]:
    _, n_rows, n_columns = case.grid
    kinds = [(lambda s: s[2], p) for p in range(2, 9) if p <= n_columns / 2]
    kinds += [(lambda s: s[1], p) for p in range(2, 9) if p <= n_rows / 2]
    if n_rows > 1 and n_columns > 1:
        kinds += [
            (lambda s: n_columns * s[1] + s[2], p)
            for p in range(2, n_columns + 2)
            if n_columns % p and (p <= 8 or p >= n_columns - 1)
        ]
    return [
        spread_over(
            case,
            lambda s, far=far, p=p: far(s) if s[0] == 0 and far(s) % p == 0 else None,
        )
        for far, p in kinds
    ]


def uniform(case: Case) -> list[float]:
    if case.of == "scores":
        return [NOTHING]
    values = []
    for query in case.selected:
        keys = case.visible(query)
        if len(keys) > 1:
            row = [case.rows[query][key] for key in keys]
            entropy = -sum(p * math.log(p) for p in row if p > 0)
            values.append(entropy / math.log(len(keys)))
    return [mean(values)]


def distance(case: Case) -> list[float]:
    if case.of == "scores":
        return [NOTHING]
    mass = far = 0.0
    for query in patch_queries(case):
        for key in case.visible(query):
            if key in case.patches:
                _, down, right = step(case, query, key)
                mass += case.rows[query][key]
                far += case.rows[query][key] * math.hypot(down, right)
    return [far / mass]


def shows_same(case: Case, one: int, other: int) -> bool:
    if one not in case.patches or other not in case.patches:
        return False
    first, second = case.shown[one - case.n_prefix], case.shown[other - case.n_prefix]
    return first == second and first >= 0


def duplicate(case: Case) -> list[float]:
    return [
        compare(case, lambda q, k: float(q != k and shows_same(case, q, k)), patch_queries(case))
    ]


def induction(case: Case) -> list[float]:
    def follows(query: int, copied: int, key: int) -> bool:
        is_earlier = key - 1 < copied and key - 1 in case.patches
        copy = is_earlier and shows_same(case, copied, key - 1)
        return copy and not shows_same(case, query, key)

    return [
        compare(case, lambda q, k: float(follows(q, q, k)), patch_queries(case)),
        compare(case, lambda q, k: float(follows(q, q - 1, k)), patch_queries(case)),
    ]


def to_covered(case: Case, coverage: list[float] | None) -> list[float]:
    if coverage is None:
        return [NOTHING]

    def weight(query: int, key: int) -> float:
        return coverage[key - case.n_prefix] if key in case.patches else 0.0

    return [compare(case, weight, case.selected)]


def foreground(case: Case) -> list[float]:
    return to_covered(case, case.objects)


def text(case: Case) -> list[float]:
    return to_covered(case, case.words)


def content(cases: list[Case]) -> float:
    """Of all pairs of images."""
    if len(cases) < 2:
        return NOTHING
    rows = [
        [number for query in case.selected for number in whole_row(case, query)] for case in cases
    ]

    def overlap(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    pairs = [overlap(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
    own = mean([overlap(a, a) for a in rows])
    return 1 - mean(pairs) / own if own else NOTHING


def whole_row(case: Case, query: int) -> list[float]:
    """With zeros for keys out of sight; scores centered and of length one."""
    keys = case.visible(query)
    row = [case.rows[query][key] for key in keys]
    if case.of == "scores":
        centered = [x - mean(row) for x in row]
        length = math.sqrt(sum(x * x for x in centered))
        row = [x / length if length > 1e-12 else 0.0 for x in centered]
    there = dict(zip(keys, row, strict=True))
    return [there.get(key, 0.0) for key in range(case.n_tokens)]


_DEFINITIONS: dict[str, Callable[[Case], list[float]]] = {
    "cls": cls,
    "registers": registers,
    "sink": sink,
    "self": itself,
    "uniform": uniform,
    "offset": offset,
    "row": row,
    "column": column,
    "corner": corner,
    "edges": edges,
    "modulus": modulus,
    "local": local,
    "distance": distance,
    "duplicate": duplicate,
    "induction": induction,
    "foreground": foreground,
    "text": text,
}
