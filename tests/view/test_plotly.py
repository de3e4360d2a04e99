"""Lines and points through Plotly: the numbers are ours, and so are the texts."""

import numpy as np
import pytest
import torch
import xarray

from vitreous.view import line, scatter

NASTY = [
    "<b>bold</b><script>document.title='gone'</script>",
    "\"quoted\" & 'single' &lt;",
    "🐱 cat",
    "قطة",
    "$x^2$ %{y} <br>",
]


def open_figure(browser, figure, folder):
    path = folder / "figure.html"
    figure.write_html(path, include_plotlyjs=True)
    browser.goto(path.as_uri())
    browser.wait_for_selector(".main-svg .xaxislayer-above, .main-svg .xy")


def test_each_row_is_a_line():
    values = np.arange(6.0).reshape(2, 3)
    figure = line(values, names=["a", "b"], x=[10, 20, 30])
    assert [trace.name for trace in figure.data] == ["a", "b"]
    assert [list(trace.y) for trace in figure.data] == values.tolist()
    assert list(figure.data[0].x) == [10, 20, 30]


def test_a_tensor_of_one_dimension_is_one_line():
    figure = line(torch.arange(4, dtype=torch.bfloat16))
    assert list(figure.data[0].y) == [0, 1, 2, 3] and not figure.layout.showlegend


def test_a_labeled_array_brings_its_names_along():
    values = xarray.DataArray(
        np.ones((2, 3)),
        dims=("label", "layer"),
        coords={"label": ["cat", "dog"], "layer": [-1, 0, 1]},
        name="logit",
    )
    figure = line(values)
    assert [trace.name for trace in figure.data] == ["cat", "dog"]
    assert list(figure.data[0].x) == [-1, 0, 1]
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("layer", "logit")


def test_points_of_a_group_are_one_color():
    figure = scatter(np.arange(3.0), np.arange(3.0), list("abc"), groups=["x", "y", "x"])
    assert [list(trace.x) for trace in figure.data] == [[0, 2], [1]]
    assert figure.data[0].marker.color != figure.data[1].marker.color


@pytest.mark.parametrize("name", NASTY)
def test_the_point_under_the_cursor_says_its_label_as_text(browser_page, tmp_path, name):
    figure = scatter(
        np.array([1.0, 2.0]), np.array([3.0, -4.5]), ["other", name], x_axis=name, y_axis="share"
    )
    open_figure(browser_page, figure, tmp_path)
    browser_page.locator(".points .point").nth(1).hover(force=True)
    hover = browser_page.locator(".hoverlayer .hovertext")
    hover.wait_for()
    lines = hover.locator("text").first.evaluate(
        "(text) => Array.from(text.querySelectorAll(':scope > tspan'), (line) => line.textContent)"
    )
    assert lines == [name, f"{name}: 2", "share: −4.5"]
    axis = browser_page.locator(".xtitle").evaluate("(text) => text.textContent")
    assert axis == name
    assert "gone" not in browser_page.title()


@pytest.mark.parametrize("name", NASTY)
def test_legend_title_and_positions_are_text(browser_page, tmp_path, name):
    figure = line(np.eye(2), names=[name, "other"], x=[name, "second"], title=name)
    open_figure(browser_page, figure, tmp_path)
    for place in (".legendtext", ".gtitle", ".xtick text"):
        shown = browser_page.locator(place).first.evaluate("(text) => text.textContent")
        assert shown == name
    assert "gone" not in browser_page.title()


def test_more_than_two_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"one or two dimensions; got shape \(1, 1, 1\)\. Choose"):
        line(np.zeros((1, 1, 1)))


def test_each_line_has_a_name():
    with pytest.raises(ValueError, match="`names` must have one entry per line; got 1 for 2"):
        line(np.zeros((2, 3)), names=["a"])


def test_each_point_has_a_label():
    with pytest.raises(ValueError, match="`labels` must have one entry per point; got 1 for 2"):
        scatter(np.zeros(2), np.zeros(2), ["a"])


@pytest.mark.parametrize("make", [line, lambda values: scatter(values, values, list("abc"))])
def test_values_that_are_no_numbers_are_refused(make):
    with pytest.raises(ValueError, match="must be finite; got"):
        make(np.array([1.0, np.nan, 2.0]))
