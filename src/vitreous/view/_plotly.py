"""Line and scatter views: Plotly figures with our labels, for notebooks and the explorer."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray
from jaxtyping import Float

from vitreous._optional import needs
from vitreous.view._label_colors import label_colors
from vitreous.view._packing import Array, as_numpy, must_be_finite

_INK, _RULE, _PAPER = "#182126", "#dfe3e1", "#fcfcfa"
_FONT = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
_MOST_TICKS = 25  # more positions are numbered by Plotly
_MARKUP = re.compile("[&<>$]")


def line(
    values: Float[Array, "..."] | xarray.DataArray,
    *,
    x: Sequence[Any] | None = None,
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    x_axis: str = "",
    y_axis: str = "",
    title: str = "",
) -> Any:
    """Lines over a common axis, such as a value by layer, as a Plotly figure.

    All texts are shown as text: Plotly would take tags for markup, and dollar signs for formulas.

    Args:
        values: One line, or `[lines, positions]`. A labeled array with one or two dimensions brings
            the names of its lines, its positions and its axes along; its last dimension runs from
            left to right.
        x: The positions: numbers, or names; 0, 1, 2, … by default.
        names: A name for each line.
        colors: A color for each line, such as `ClassNames.colors`.
        x_axis: What the positions are.
        y_axis: What the values are, with their unit.
        title: A line above the figure.

    Returns:
        A `plotly.graph_objects.Figure`.

    Raises:
        MissingDependencyError: Plotly isn't installed.
        ValueError: More than two dimensions, another number of names, or values that are no
            numbers.
    """
    plotly = needs("plotly.graph_objects", extra="view", feature="vitreous.view.line")
    if isinstance(values, xarray.DataArray):
        x, names = _positions(values, -1) if x is None else x, names or _line_names(values)
        x_axis, y_axis = x_axis or str(values.dims[-1]), y_axis or str(values.name or "")
        values = values.to_numpy()
    rows = _as_lines(values)
    places = list(range(rows.shape[1])) if x is None else list(x)
    shown = [""] * len(rows) if names is None else list(names)
    palette = label_colors(len(rows)) if colors is None else list(colors)
    _must_be_as_many("line", len(rows), names=shown, colors=palette)
    _must_be_as_many("position", rows.shape[1], x=places)
    figure = _figure(plotly, title, x_axis, y_axis)
    numbers = all(isinstance(place, int | float | np.number) for place in places)
    at = places if numbers else list(range(len(places)))
    for row, name, color in zip(rows, shown, palette, strict=True):
        pairs = zip(places, row, strict=True)
        texts = [_hover(name, (x_axis or "x", place), (y_axis or "y", y)) for place, y in pairs]
        look = {"line": {"color": color, "width": 2}, "marker": {"size": 5}}
        _draw(figure, at, row, "lines+markers", name, texts, look)
    figure.update_layout(showlegend=names is not None and len(rows) > 1)
    figure.update_xaxes(zeroline=False)
    if not numbers or len(at) <= _MOST_TICKS:
        figure.update_xaxes(tickvals=at, ticktext=[as_text(str(place)) for place in places])
    return figure


def scatter(
    x: Float[Array, " components"] | xarray.DataArray,
    y: Float[Array, " components"] | xarray.DataArray,
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    x_axis: str = "",
    y_axis: str = "",
    title: str = "",
) -> Any:
    """Points with a label each, such as every head's share against its effect, as a Plotly figure.

    Args:
        x: Where each point stands from left to right.
        y: Where it stands from bottom to top.
        labels: What a point is called when it is pointed at.
        groups: A group for each point; points of a group have one color and stand in the legend.
        colors: A color for each group, in the order in which they first occur.
        x_axis: What the values from left to right are, with their unit.
        y_axis: What those from bottom to top are.
        title: A line above the figure.

    Returns:
        A `plotly.graph_objects.Figure`.

    Raises:
        MissingDependencyError: Plotly isn't installed.
        ValueError: Another number of labels or groups than points, or values that are no numbers.
    """
    plotly = needs("plotly.graph_objects", extra="view", feature="vitreous.view.scatter")
    if isinstance(x, xarray.DataArray):
        x, x_axis = x.to_numpy(), x_axis or str(x.name or "")
    if isinstance(y, xarray.DataArray):
        y, y_axis = y.to_numpy(), y_axis or str(y.name or "")
    across, up = as_numpy(x).ravel(), as_numpy(y).ravel()
    must_be_finite(np.concatenate([across, up]))
    member = [""] * len(across) if groups is None else list(groups)
    _must_be_as_many("point", len(across), y=up, labels=labels, groups=member)
    order = list(dict.fromkeys(member))
    palette = label_colors(len(order)) if colors is None else list(colors)
    _must_be_as_many("group", len(order), colors=palette)
    figure = _figure(plotly, title, x_axis, y_axis)
    for group, color in zip(order, palette, strict=True):
        chosen = [i for i, name in enumerate(member) if name == group]
        texts = [
            _hover(labels[i], (x_axis or "x", across[i]), (y_axis or "y", up[i])) for i in chosen
        ]
        look = {"marker": {"color": color, "size": 8, "line": {"color": _PAPER, "width": 1}}}
        _draw(figure, across[chosen], up[chosen], "markers", group, texts, look)
    figure.update_layout(showlegend=groups is not None)
    return figure


def as_text(text: str) -> str:
    """Text that Plotly shows as it is, whatever tags, entities or dollar signs it contains."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", text)


def _figure(plotly: Any, title: str, x_axis: str, y_axis: str) -> Any:
    figure = plotly.Figure()
    axis = {"gridcolor": _RULE, "zerolinecolor": "#9aa5a9", "linecolor": _RULE, "ticks": ""}
    figure.update_layout(
        title={"text": as_text(title), "font": {"size": 16}},
        font={"family": _FONT, "size": 13, "color": _INK},
        paper_bgcolor=_PAPER,
        plot_bgcolor=_PAPER,
        hoverlabel={"bgcolor": "#ffffff", "font": {"color": _INK}, "align": "left"},
        margin={"l": 64, "r": 24, "t": 56 if title else 24, "b": 56},
        xaxis={"title": {"text": as_text(x_axis)}, **axis},
        yaxis={"title": {"text": as_text(y_axis)}, **axis},
    )
    return figure


def _draw(
    figure: Any, x: Any, y: Any, mode: str, name: str, texts: Sequence[str], look: dict[str, Any]
) -> None:
    figure.add_scatter(
        x=list(x),
        y=list(y),
        mode=mode,
        name=as_text(name),
        hovertext=texts,  # no template, in which a label could stand for something else
        hoverinfo="text",
        **look,
    )


def _hover(name: str, *values: tuple[str, Any]) -> str:
    head = [f"<b>{as_text(name)}</b>"] if name else []
    return "<br>".join([*head, *(f"{as_text(axis)}: {_number(value)}" for axis, value in values)])


def _number(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}".replace("-", "−")
    return as_text(str(value))


def _as_lines(values: Float[Array, "..."]) -> np.ndarray:
    array = as_numpy(values)
    if array.ndim not in (1, 2):
        raise ValueError(
            f"Lines must have one or two dimensions; got shape {array.shape}. "
            "Choose or average over the others first."
        )
    must_be_finite(array)
    return np.atleast_2d(array)


def _line_names(values: xarray.DataArray) -> list[str] | None:
    return None if values.ndim < 2 else [str(name) for name in _positions(values, 0)]


def _positions(values: xarray.DataArray, axis: int) -> list[Any]:
    dim = values.dims[axis]
    return values[dim].to_numpy().tolist()


def _must_be_as_many(what: str, count: int, **given: Sequence[Any] | np.ndarray) -> None:
    for name, entries in given.items():
        if len(entries) != count:
            raise ValueError(
                f"`{name}` must have one entry per {what}; got {len(entries)} for {count}. "
                "Pass one for each."
            )
