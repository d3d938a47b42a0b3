"""Figures of intervals and of dyads: that they draw what they are given, whatever its names."""

import io
import itertools
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats

from analysis.report import plots
from analysis.transfer import matrices

HOSTILE = ["$x_{", "$x_{$", "<b>", "\\frac{1}", "a\nb", "a & b % c # d ~ e ^ f", "\u0645\u0631\u062d\u0628\u0627"]
NAN = float("nan")


# --- intervals -----------------------------------------------------------------------------------------------


def table_of(groups: Sequence[str], series: Sequence[str], random: int = 0) -> pd.DataFrame:
    """Means with limits that are not equally far, group by group."""
    rng = np.random.default_rng(random)
    rows = [
        (group, name, mean, mean - rng.uniform(1, 9), mean + rng.uniform(1, 9))
        for group in groups
        for name, mean in zip(series, rng.uniform(20, 80, len(series)), strict=True)
    ]
    return pd.DataFrame(rows, columns=["language", "role", "mean", "low", "high"])


def intervals(table: pd.DataFrame, notes: dict[str, str] | None = None, title: str = "a title") -> Figure:
    return plots.intervals(table, "language", "role", title, "F1 (%)", notes or {})


def containers(figure: Figure) -> list[ErrorbarContainer]:
    return [one for one in figure.axes[0].containers if isinstance(one, ErrorbarContainer)]


def bars(container: ErrorbarContainer) -> np.ndarray:
    """Lower and upper ends, (points, 2)."""
    (lines,) = container.lines[2]
    return np.array([segment[:, 1] for segment in lines.get_segments() if len(segment)]).reshape(-1, 2)


def places(container: ErrorbarContainer) -> np.ndarray:
    """Where its points stand on the x axis."""
    return np.asarray(container.lines[0].get_xdata(), float)


def legend_of(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def ticks_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_xticklabels()]


@settings(max_examples=8, deadline=None)
@given(groups=st.integers(1, 6), series=st.integers(1, 5), random=st.integers(0, 1000))
def test_every_mean_stands_in_its_group_with_its_limits(groups: int, series: int, random: int) -> None:
    names, roles = [f"l{i}" for i in range(groups)], [f"s{i}" for i in range(series)]
    table = table_of(names, roles, random)
    figure = intervals(table)
    assert legend_of(figure) == roles and ticks_of(figure) == names
    assert list(figure.axes[0].get_xticks()) == list(range(groups))
    drawn = containers(figure)
    assert len(drawn) == series
    everywhere: list[float] = []
    for role, container in zip(roles, drawn, strict=True):
        rows = table[table["role"] == role]
        np.testing.assert_allclose(container.lines[0].get_ydata(), rows["mean"])
        np.testing.assert_allclose(bars(container), rows[["low", "high"]])
        assert np.round(places(container)).tolist() == list(range(groups))
        everywhere += places(container).tolist()
    assert len(set(everywhere)) == groups * series  # side by side, none upon another
    low, high = figure.axes[0].get_xlim()
    assert low < min(everywhere) and max(everywhere) < high


def test_the_order_of_rows_is_that_of_drawing() -> None:
    table = table_of(["zed", "aaa"], ["own", "base"])
    figure = intervals(table)
    assert ticks_of(figure) == ["zed", "aaa"] and legend_of(figure) == ["own", "base"]
    assert containers(figure)[1].lines[0].get_ydata().tolist() == table["mean"].iloc[[1, 3]].tolist()


def test_names_that_begin_with_an_underscore_are_in_the_legend() -> None:
    assert legend_of(intervals(table_of(["a"], ["_mine", "base"]))) == ["_mine", "base"]


def test_long_names_of_starts_are_not_cut_off() -> None:
    names = ["base", "xlm-roberta-base-finetuned-swahili", "afro-xlmr-large-75L", "bert-base-multilingual-cased"]
    figure = intervals(table_of(["hau", "swa"], names))
    legend = figure.axes[0].get_legend().get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.x1
    mean = pd.DataFrame(50.0, index=[*names, "avg"], columns=["hau", "swa", "avg"])
    pixels = [
        image.imread(io.BytesIO(plots.encoded(drawn)[0]), format="png")
        for m in (mean, mean.rename(index=lambda name: name[:3]))
        for drawn in [plots.heatmap(m, None, "t", "F1", (0, 100), row_name="start")]
    ]
    assert pixels[0].shape[1] > pixels[1].shape[1] == plots.WIDTH * plots.PNG_DPI
    assert all((picture[:, edge, :3] == 1).all() for picture in pixels for edge in (0, -1))  # nothing touches an edge


def test_no_tick_is_above_a_hundred_percent() -> None:
    whole = pd.DataFrame([("hau", "base", 100.0, 100.0, 100.0)], columns=["language", "role", "mean", "low", "high"])
    assert max(intervals(whole).axes[0].get_yticks()) == 100
    ticks, limits = (getattr(intervals(table_of("ab", "cd")).axes[0], f"get_{name}")() for name in ("yticks", "ylim"))
    assert limits[0] <= min(ticks) and max(ticks) <= limits[1]


def test_notes_stand_below_their_group() -> None:
    figure = intervals(table_of(["nya", "zed"], ["base"]), {"zed": "n=3", "nya": ""})
    assert ticks_of(figure) == ["nya", "zed\nn=3"]
    axes = figure.axes[0]
    assert (axes.get_title(loc="left"), axes.get_ylabel()) == ("a title", "F1 (%)")


def test_a_mean_without_interval_has_no_bar_and_a_missing_one_no_point() -> None:
    table = table_of(["a", "b", "c"], ["base", "own"])
    table.loc[0, ["low", "high"]] = NAN  # a, base
    table.loc[3, ["mean", "low", "high"]] = NAN  # b, own
    figure = intervals(table)
    base, own = containers(figure)
    assert base.lines[0].get_ydata().tolist() == table["mean"].iloc[[0, 2, 4]].tolist()
    np.testing.assert_allclose(bars(base), table.loc[[2, 4], ["low", "high"]])
    assert own.lines[0].get_ydata().tolist() == table["mean"].iloc[[1, 5]].tolist()
    assert np.round(places(own)).tolist() == [0, 2]
    assert ticks_of(figure) == ["a", "b", "c"]
    assert plots.encoded(figure)[0].startswith(b"\x89PNG")


@pytest.mark.parametrize("lost", [["low", "high"], ["mean", "low", "high"]])
def test_nothing_but_nan_is_drawn_without_complaint(lost: list[str]) -> None:
    table = table_of(["a", "b"], ["base", "own"])
    table.loc[table["role"] == "own", lost] = NAN
    figure = intervals(table)
    assert legend_of(figure) == ["base", "own"] and ticks_of(figure) == ["a", "b"]
    assert len(containers(figure)[1].lines[0].get_ydata()) == (0 if "mean" in lost else 2)
    assert plots.encoded(figure)[0].startswith(b"\x89PNG")


@pytest.mark.parametrize(("groups", "turned"), [(1, 0), (14, 0), (40, 90)])
def test_one_group_and_forty(groups: int, turned: int) -> None:
    names = [f"l{i}" for i in range(groups)]
    figure = intervals(table_of(names, ["base", "own"]), dict.fromkeys(names, "n=5"))
    figure.canvas.draw()
    labels = figure.axes[0].get_xticklabels()
    assert [text.get_text().split() for text in labels] == [[name, "n=5"] for name in names]
    assert {text.get_rotation() for text in labels} == {turned}
    boxes = [text.get_window_extent() for text in labels]
    assert all(a.x1 <= b.x0 + 1 for a, b in itertools.pairwise(boxes))  # pixels: none over the next
    assert sum(len(one.lines[0].get_ydata()) for one in containers(figure)) == 2 * groups


def test_many_series_look_different() -> None:
    drawn = containers(intervals(table_of(["a"], [f"s{i}" for i in range(30)])))
    lines = [container.lines[0] for container in drawn]
    assert len({(line.get_marker(), to_hex(line.get_color())) for line in lines}) == 30


# --- dyads ---------------------------------------------------------------------------------------------------


def points_of(languages: Sequence[str], random: int = 0) -> pd.DataFrame:
    """Every source and other target; the targets are the groups."""
    rng = np.random.default_rng(random)
    rows = [(*rng.uniform(0, 60, 2), f"{a}>{b}", b) for a in languages for b in languages if a != b]
    return pd.DataFrame(rows, columns=["x", "y", "label", "group"])


def scatter(points: pd.DataFrame) -> Figure:
    return plots.scatter(points, "a title", "overlap (%)", "F1 (%)")


def clouds(axes: Axes) -> list[PathCollection]:
    return [one for one in axes.collections if isinstance(one, PathCollection)]


@settings(max_examples=8, deadline=None)
@given(n=st.integers(3, 6), random=st.integers(0, 1000))
def test_every_dyad_is_a_labelled_point_of_its_group(n: int, random: int) -> None:
    points = points_of([f"l{i}" for i in range(n)], random)
    axes = scatter(points).axes[0]
    groups = list(dict.fromkeys(points["group"]))
    assert legend_of(axes.figure) == groups  # type: ignore[arg-type]
    drawn = clouds(axes)
    assert len(drawn) == len(groups)
    for group, cloud in zip(groups, drawn, strict=True):
        np.testing.assert_allclose(cloud.get_offsets(), points.loc[points["group"] == group, ["x", "y"]])
    named = [(text.get_text(), *text.xy) for text in axes.texts]
    assert set(named) <= set(points[["label", "x", "y"]].itertuples(index=False, name=None))
    assert len(set(named)) == len(named) > len(points) // 2
    assert (axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()) == ("a title", "overlap (%)", "F1 (%)")


def test_the_line_is_that_of_least_squares() -> None:
    points = points_of(["a", "b", "c", "d"])
    (line,) = scatter(points).axes[0].lines
    x, y = line.get_data()
    fitted = stats.linregress(points["x"], points["y"])
    assert list(x) == [points["x"].min(), points["x"].max()]
    np.testing.assert_allclose(y, fitted.intercept + fitted.slope * np.asarray(x))


def test_no_line_through_two_points_or_upright_ones() -> None:
    points = points_of(["a", "b", "c"])
    for some in (points.head(1), points.head(2), points.assign(x=3.0)):
        axes = scatter(some).axes[0]
        assert not axes.lines and sum(len(cloud.get_offsets()) for cloud in clouds(axes)) == len(some)
        assert plots.encoded(axes.figure)[0].startswith(b"\x89PNG")  # type: ignore[arg-type]


def test_one_group_needs_no_legend() -> None:
    points = points_of(["a", "b", "c"]).assign(group="all")
    figure = scatter(points)
    assert legend_of(figure) == [] and len(clouds(figure.axes[0])) == 1
    assert legend_of(scatter(points_of(["a", "b"]))) == ["b", "a"]  # two do
    assert plots.encoded(figure)[0].startswith(b"\x89PNG")


def test_forty_groups_look_different_and_their_points_go_without_names() -> None:
    points = points_of([f"l{i:02d}" for i in range(40)])
    figure = scatter(points)
    axes = figure.axes[0]
    assert len(clouds(axes)) == len(legend_of(figure)) == 40 and not axes.texts
    assert sum(len(cloud.get_offsets()) for cloud in clouds(axes)) == 40 * 39
    looks = {(cloud.get_paths()[0].vertices.tobytes(), to_hex(cloud.get_facecolor()[0])) for cloud in clouds(axes)}
    assert len(looks) == 40
    assert plots.encoded(figure)[0].startswith(b"\x89PNG")


def test_names_are_shown_up_to_a_hundred_points() -> None:
    points = points_of([f"l{i:02d}" for i in range(11)])  # 110
    assert len(scatter(points.head(plots.LABELS_UP_TO)).axes[0].texts) > 20
    assert not scatter(points.head(plots.LABELS_UP_TO + 1)).axes[0].texts


@settings(max_examples=8, deadline=None)
@given(n=st.integers(2, 9), random=st.integers(0, 1000), crowd=st.sampled_from([1.0, 0.02]))
def test_names_cover_neither_each_other_nor_points_nor_the_legend(n: int, random: int, crowd: float) -> None:
    points = points_of([f"l{i}" for i in range(n)], random)
    points.loc[::2, ["x", "y"]] *= crowd  # half of them in a corner
    figure = scatter(points)
    axes = figure.axes[0]
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert boxes and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    at = axes.transData.transform(points[["x", "y"]].to_numpy())
    assert not any(box.count_contains(at) for box in boxes)
    frame = axes.get_window_extent(renderer)
    assert all(frame.contains(*corner) for box in boxes for corner in box.corners())
    legend = axes.get_legend()
    assert legend is None or not legend.get_window_extent(renderer).count_overlaps(boxes)


def test_the_point_furthest_from_the_line_is_named_in_a_crowd() -> None:
    points = pd.DataFrame({"x": range(40), "y": 0.0, "label": "usual", "group": "all"})
    points.loc[len(points)] = [20, 30.0, "unlike", "all"]
    assert "unlike" in [text.get_text() for text in scatter(points).axes[0].texts]


# --- both ----------------------------------------------------------------------------------------------------


def test_the_same_figure_has_the_same_bytes_and_another_number_other_ones() -> None:
    table, points = table_of(["a", "b"], ["base", "own"]), points_of(["a", "b", "c"])
    for draw, given_table, column in ((intervals, table, "high"), (scatter, points, "y")):
        first = plots.encoded(draw(given_table))[0]
        assert first == plots.encoded(draw(given_table.copy()))[0]
        changed = given_table.copy()
        changed.loc[0, column] += 7
        assert first != plots.encoded(draw(changed))[0]


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_shown_as_it_stands(name: str) -> None:
    """Names come from a store that others write to: they are text, no formula and no markup."""
    figure = intervals(table_of([name, "b"], [name, "own"]), {name: name}, name)
    assert plots.encoded(figure)[0].startswith(b"\x89PNG")
    assert legend_of(figure) == [name, "own"] and ticks_of(figure) == [f"{name}\n{name}", "b"]
    figure = plots.scatter(points_of([name, "b", "c"]), name, name, name)
    assert plots.encoded(figure)[0].startswith(b"\x89PNG")
    assert name in legend_of(figure) and f"{name}>b" in [text.get_text() for text in figure.axes[0].texts]
    mean = matrices.with_average(pd.DataFrame([[80.0, 30.0], [41.0, 5.0]], [name, "b"], [name, "b"]))
    figure = plots.heatmap(mean, None, name, name, (0, 90), row_name=name)
    assert plots.encoded(figure)[0].startswith(b"\x89PNG") and ticks_of(figure)[0] == name


def test_a_dollar_sign_is_a_dollar_sign() -> None:
    """What stands between two of them is no formula: it is as wide as its letters."""
    widths = []
    for name in ("$ab$", "\u00a7ab\u00a7"):
        figure = intervals(table_of([name], ["base"]))
        figure.canvas.draw()
        widths.append(figure.axes[0].get_xticklabels()[0].get_window_extent().width)
    assert widths[0] > 0.9 * widths[1]


# --- for papers ----------------------------------------------------------------------------------------------


def matrix_of(languages: int) -> pd.DataFrame:
    names = [f"l{i:02}" for i in range(languages)]
    return pd.DataFrame(np.linspace(-40, 40, languages**2).reshape(languages, -1), names, names)


def inches(pdf: bytes) -> tuple[float, float]:
    found = re.search(rb"/MediaBox \[ *0 0 ([\d.]+) ([\d.]+)", pdf)
    assert found is not None
    return float(found[1]) / 72, float(found[2]) / 72


@pytest.mark.parametrize(("languages", "numbers"), [(3, True), (10, True), (25, False)])
def test_a_heat_map_fits_a_column_with_letters_that_can_be_read(languages: int, numbers: bool) -> None:
    mean = matrix_of(languages)
    figure = plots.heatmap(mean, mean * 0 + 1, "a title", "points, test", (-40, 40), diverging=True, width=plots.COLUMN)
    axes, bar = figure.axes
    assert bool(axes.texts) == numbers and all("±" not in text.get_text() for text in axes.texts)
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text() and text.get_gid() is None]
    assert min(sizes) >= 7 and bar.get_ylabel() == "points"
    side = axes.get_window_extent().width / languages
    assert all(text.get_window_extent().width < side for text in axes.texts)
    assert inches(plots.pdf(figure))[0] == pytest.approx(plots.COLUMN, abs=0.1)


def test_a_pdf_has_no_title_and_is_cut_above() -> None:
    mean = matrix_of(4)
    figure = plots.heatmap(mean, None, "a title", "F1 (%)", (-40, 40))
    (title,) = (text for text in figure.findobj(Text) if text.get_text() == "a title")
    whole = figure.bbox_inches.height
    assert title.get_visible()
    png, pdf = plots.encoded(figure)
    assert not title.get_visible() and inches(pdf)[1] < whole - 0.1 and inches(pdf)[0] == pytest.approx(plots.WIDTH)
    assert image.imread(io.BytesIO(png)).shape[0] == pytest.approx(whole * plots.PNG_DPI, abs=2)  # the page's has it
    for drawn in (intervals(table_of(["hau"], ["base"])), scatter(points_of(["a", "b", "c"]))):
        before = [text for text in drawn.findobj(Text) if text.get_text() and text.get_visible()]
        plots.pdf(drawn)
        hidden = [text.get_text() for text in before if not text.get_visible()]
        assert hidden == ["a title"]
