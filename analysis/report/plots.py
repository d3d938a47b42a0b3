"""Figures: heat maps, intervals, learning curves, scatter plots.

Draws what it is given: no aggregation, and no file is written.

Sizes are for print: 6.3 inches are the text width of an A4 or letter page, 3.03 inches one of its two columns. A figure
becomes larger only where names would be cut off. PDFs are for papers, whose captions say what a figure shows: they have
no title.
"""

import io
import math
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox, offset_copy

from analysis.statistics.tables import MINUS, MISSING, number
from analysis.transfer.matrices import IN_LANGUAGE, MARGINS, ZERO_SHOT
from nertransfer.core.grid import ALONE, is_zero_shot

WIDTH = 6.3  # inches
COLUMN = 3.03
"""Inches of a column where a page has two, as in ACL's papers."""
_TITLE = "title"
"""What is left out of a PDF."""
GAP = 0.35  # between the body and its averages, in cells
SEQUENTIAL = "viridis"
DIVERGING = "RdBu"
SD_UP_TO = 12  # languages on the longer axis: beyond, the sd does not fit
DECIMAL_UP_TO = 12
NUMBERS_UP_TO = 25
PNG_DPI = 200
_STYLE = {
    "font.family": "DejaVu Sans",
    "pdf.fonttype": 42,  # TrueType: text in the PDF can be searched and edited
    "hatch.linewidth": 0.5,
    "axes.unicode_minus": True,
    "text.parse_math": False,  # a name with a dollar sign is a name
}


def heatmap(
    mean: pd.DataFrame,
    spreads: pd.DataFrame | None,
    title: str,
    label: str,
    limits: tuple[float, float],
    *,
    diverging: bool = False,
    row_name: str = "source",
    own_row: str = "",
    width: float = WIDTH,
) -> Figure:
    """A transfer matrix as a heat map of ``width`` inches, a page or a `COLUMN`.

    ``mean`` and ``spreads`` have sources as rows and targets as columns, in percent; rows and columns at the end that
    are called as in `MARGINS` are set apart. ``label`` stands at the colour bar. Numbers that are missing are
    hatched; where the target is the source, or among its languages, the place is outlined (``own_row``: the source of
    all rows). Up to 12 languages every place shows its mean and, small below it, ± its spread; up to 25 the rounded
    mean; beyond, colour alone. In a column the means are rounded, as long as they fit.
    """
    column = width < WIDTH
    with matplotlib.rc_context(_STYLE):
        rows, columns = _places(list(mean.index)), _places(list(mean.columns))
        figure, axes, bar = _frame(rows[-1] + 1, columns[-1] + 1, width)
        norm = Normalize(*limits)
        colours = matplotlib.colormaps[DIVERGING if diverging else SEQUENTIAL]
        numbers = _numbers(mean, 72 * figure.bbox_inches.width * axes.get_position().width / (columns[-1] + 1), column)
        for i, y in enumerate(rows):
            for j, x in enumerate(columns):
                source, target = mean.index[i], mean.columns[j]
                own = not is_zero_shot(own_row or source, target) and not {source, target} & set(MARGINS)
                spread = spreads.iloc[i, j] if spreads is not None else math.nan
                _cell(axes, (x, y), mean.iloc[i, j], spread, norm, colours, numbers, own, diverging and not column)
        _finish(axes, mean, rows, columns, title, row_name, column)
        image = matplotlib.cm.ScalarMappable(norm, colours)
        scale = figure.colorbar(image, cax=bar)
        scale.outline.set_visible(False)
        scale.ax.tick_params(labelsize=7, length=2, width=0.5)
        scale.set_label(label.split(",")[0] if column else label, fontsize=7 if column else 8)
    return figure


MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999")
"""Okabe and Ito (2008): told apart by the colour-blind; with a marker each, also in print."""


def _figure(height: float, width: float = WIDTH) -> Figure:
    """An empty one, as wide as a page, of so many inches."""
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _open(axes: Axes, axis: Literal["both", "y"] = "both") -> None:
    """Open above and on the right, with a grid behind what is drawn."""
    axes.grid(axis=axis, linewidth=0.4, color="#e0e0e0" if axis == "both" else "#cccccc")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _bars(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) means, and (2, rows) how far their intervals reach below and above."""
    mean = rows["mean"].to_numpy(float)
    return mean, np.abs(np.vstack([mean - rows["low"], rows["high"] - mean]))


def _look(i: int) -> tuple[str, str]:
    """Marker and colour of the i-th series: 64 different pairs."""
    return MARKERS[(i + i // len(COLOURS)) % len(MARKERS)], COLOURS[i % len(COLOURS)]


def intervals(table: pd.DataFrame, group: str, series: str, title: str, label: str, notes: Mapping[str, str]) -> Figure:
    """Means with their intervals, side by side: a group on the x axis, a marker for each series.

    ``table`` has the columns ``group``, ``series``, ``mean``, ``low``, ``high`` (NaN: no bar), in percent, in the
    order of drawing. ``notes`` by group stand below its name, such as its n.
    """
    groups, names = list(dict.fromkeys(table[group])), list(dict.fromkeys(table[series]))
    with matplotlib.rc_context(_STYLE):
        figure = _figure(2.9)
        axes = figure.add_axes((0.09, 0.17, 0.89, 0.68))
        drawn = []
        for i, name in enumerate(names):
            rows = table[(table[series] == name) & table["mean"].notna()]
            x = [groups.index(value) + 0.7 * ((i + 0.5) / len(names) - 0.5) for value in rows[group]]
            mean, reach = _bars(rows)
            bars = axes.errorbar(
                x, mean, reach, fmt=_look(i)[0], color=_look(i)[1], markersize=4, linewidth=1, capsize=2
            )
            drawn.append(bars)
        size = 8 if len(groups) <= 14 else 6
        apart = "\n" if len(groups) <= 14 else "  "  # turned, two lines would run into the next name
        texts = [f"{name}{apart}{notes[name]}" if notes.get(name) else name for name in groups]
        axes.set_xticks(range(len(groups)), texts, fontsize=size, rotation=90 if len(groups) > 14 else 0)
        axes.set_xlim(-0.6, len(groups) - 0.4)
        axes.tick_params(labelsize=8, length=2)
        axes.set_ylabel(label, fontsize=8)
        _open(axes, axis="y")
        bottom, top = axes.get_ylim()
        axes.set_yticks([tick for tick in axes.get_yticks() if bottom <= tick <= min(top, 100)])  # F1 ends there
        place = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0)}
        look = {"fontsize": 8, "frameon": False, "borderaxespad": 0.2, "handletextpad": 0.3, "columnspacing": 1.0}
        for columns in range(min(len(names), 8), 0, -1):
            legend = axes.legend(drawn, names, ncols=columns, **look, **place)
            if legend.get_window_extent().x0 >= 0:
                break
        rows = -(-len(names) // columns)
        axes.set_title(title, fontsize=9.5, fontweight="bold", pad=6 + 12 * rows, loc="left", gid=_TITLE)
    return figure


BROKEN = 0.45
"""Where no sentence stands before the smallest number of a learning curve, as a share of a factor of ten."""


def learning_curves(table: pd.DataFrame, title: str, label: str) -> Figure:
    """F1 by number of labelled sentences, on a logarithmic axis with 0 set apart; a line for each series.

    ``table`` has the columns ``series``, ``mode``, ``sentences``, ``mean``, ``low``, ``high`` (NaN: no bar), in
    percent, in the order of drawing. What has the sentences `ALONE` is dashed: the others are compared with it.
    """
    names = list(dict.fromkeys(table["series"]))
    numbers = sorted(set(table["sentences"]))
    with matplotlib.rc_context(_STYLE):
        figure = _figure(3.4)
        axes = figure.add_axes((0.09, 0.14, 0.64, 0.74))
        first = math.log10(next((n for n in numbers if n > 0), 1))
        place = {n: math.log10(n) if n else first - BROKEN for n in numbers}
        for i, name in enumerate(names):
            rows = table[(table["series"] == name) & table["mean"].notna()]
            mean, reach = _bars(rows)
            shift = 0.012 * (i - (len(names) - 1) / 2)  # bars of several series side by side
            alone = bool((rows["mode"] == ALONE).any())
            marker, colour = ("s", "#000000") if alone else _look(i)
            axes.errorbar(
                [place[n] + shift for n in rows["sentences"]], mean, reach, fmt=marker, color=colour, label=name,
                linestyle="--" if alone else "-", linewidth=1.2, markersize=4, elinewidth=0.8, capsize=2,
            )  # fmt: skip
        axes.set_xticks([place[n] for n in numbers], [f"{n:,}" for n in numbers], fontsize=8)
        axes.tick_params(labelsize=8, length=2)
        axes.set_ylim(max(0, axes.get_ylim()[0]), min(100, axes.get_ylim()[1]))
        axes.set_xlabel("labelled sentences of the target (logarithmic, 0 set apart)", fontsize=8)
        axes.set_ylabel(label, fontsize=8)
        _open(axes, axis="y")
        axes.set_title(title, fontsize=9.5, fontweight="bold", pad=8, loc="left", gid=_TITLE)
        axes.legend(
            title="source", title_fontsize=8, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0),
            borderaxespad=0, handlelength=2.6,
        )  # fmt: skip
    return figure


LABELS_UP_TO = 100
"""Points of a scatter plot that are labelled; beyond, the names would hide them."""


def scatter(points: pd.DataFrame, title: str, x_label: str, y_label: str) -> Figure:
    """Dyads of languages as labelled points with the least-squares line.

    ``points`` has the columns ``x``, ``y``, ``label`` and ``group``, without NaN; one colour and marker a group.
    Labels stand where there is room for them, those of the points furthest from the line first.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(4.4)
        axes = figure.add_axes((0.09, 0.11, 0.88, 0.79))
        x, y = points["x"].to_numpy(float), points["y"].to_numpy(float)
        drawn = {}
        for i, (name, part) in enumerate(points.groupby("group", sort=False)):
            marker, colour = _look(i)
            drawn[str(name)] = axes.scatter(part["x"], part["y"], s=12, marker=marker, color=colour, linewidths=0)
        apart = np.zeros(len(points))
        if len(points) > 2 and np.ptp(x) > 0:
            slope, intercept = np.polyfit(x, y, 1)
            apart = np.abs(y - slope * x - intercept)
            ends = np.array([x.min(), x.max()])
            axes.plot(ends, slope * ends + intercept, color="#444444", linewidth=0.8, linestyle="--")
        axes.tick_params(labelsize=8, length=2)
        axes.set_xlabel(x_label, fontsize=8)
        axes.set_ylabel(y_label, fontsize=8)
        _open(axes)
        axes.set_title(title, fontsize=9.5, fontweight="bold", loc="left", gid=_TITLE)
        if len(drawn) > 1:
            axes.legend(
                drawn.values(),
                drawn,
                fontsize=7,
                frameon=False,
                handletextpad=0.1,
                title="target",
                title_fontsize=7,
                ncols=2,
            )
        if len(points) <= LABELS_UP_TO:
            order = np.argsort(-apart, kind="stable")
            _label(axes, points["label"].to_numpy()[order], np.column_stack([x, y])[order])
    return figure


def _label(axes: Axes, texts: Iterable[str], places: np.ndarray) -> None:
    """Write texts beside their places, (n, 2) in data coordinates, where they cover no other text, place or legend.

    What finds no room on any side of its place is left out.
    """
    axes.autoscale_view()  # otherwise it waits for the drawing, and places are not yet where they will be
    renderer = axes.figure.canvas.get_renderer()
    inside, legend = axes.get_window_extent(renderer), axes.get_legend()
    taken = [legend.get_window_extent(renderer)] if legend else []
    points = axes.transData.transform(places)
    for text, place in zip(texts, places, strict=True):
        for across, above in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            sides = {"ha": "left" if across > 0 else "right", "va": "bottom" if above > 0 else "top"}
            shown = axes.annotate(
                text, place, (2.5 * across, 1.5 * above), textcoords="offset points", fontsize=5, color="#444444",
                annotation_clip=False, **sides,
            )  # fmt: skip
            box = shown.get_window_extent(renderer).padded(renderer.points_to_pixels(1.2))  # no closer than this
            within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if within and not box.count_contains(points) and not box.count_overlaps(taken):
                taken.append(box)
                break
            shown.remove()


def projections(points: pd.DataFrame, title: str, explained: tuple[float, float], stress: float) -> Figure:
    """Category centres by PCA and, beside it, by metric MDS.

    ``points`` has the columns ``series`` (colours), ``category`` (markers), ``pca_1``, ``pca_2``, ``mds_1`` and
    ``mds_2``. ``explained``: shares of variance of the two principal axes; ``stress``: Kruskal's stress-1 of the MDS.
    Short series names stand beside their points, as there may be more of them than colours.
    """
    names, categories = list(dict.fromkeys(points["series"])), sorted(set(points["category"]))
    short = max(map(len, names)) <= 4
    axis = [f"principal component {i + 1} ({share:.0%} of variance)" for i, share in enumerate(explained)]
    labels = (("pca", "PCA", axis), ("mds", f"MDS, stress {stress:.2f}", ["dimension 1", "dimension 2"]))
    shapes = [Line2D([], [], linestyle="", marker=_marker(j), color="#666666") for j in range(len(categories))]
    patches = [Rectangle((0, 0), 1, 1, color=_colour(i)) for i in range(len(names))]
    rows = -(-len(names) // SERIES_IN_A_ROW)
    below = 0.36 + 0.17 * (rows + 1)  # inches, for the legends
    with matplotlib.rc_context(_STYLE):
        height = below + 3.3
        figure = _figure(height)
        for left, (prefix, head, texts) in zip((0.085, 0.585), labels, strict=True):
            axes = figure.add_axes((left, (below + 0.2) / height, 0.4, 2.5 / height))
            for i, name in enumerate(names):
                for j, category in enumerate(categories):
                    part = points[(points["series"] == name) & (points["category"] == category)]
                    x, y = part[f"{prefix}_1"], part[f"{prefix}_2"]
                    axes.scatter(x, y, s=26, marker=_marker(j), color=_colour(i), linewidths=0.4, edgecolors="white")
                    for at in zip(x, y, strict=True) if short else ():
                        axes.annotate(name, at, (3, 2), textcoords="offset points", fontsize=5, color="#444444")
            axes.margins(0.12)
            axes.set_aspect("equal", adjustable="datalim")
            axes.tick_params(labelsize=7, length=2)
            axes.set_xlabel(texts[0], fontsize=7)
            axes.set_ylabel(texts[1], fontsize=7, labelpad=1)
            _open(axes)
            axes.set_title(head, fontsize=8, loc="left", pad=4)
        figure.text(0.015, 1 - 0.17 / height, title, fontsize=9.5, fontweight="bold", va="center", gid=_TITLE)
        look = {"loc": "upper center", "fontsize": 7, "frameon": False, "borderaxespad": 0, "handletextpad": 0.4,
                "columnspacing": 1.2, "handlelength": 1.0, "handleheight": 0.8, "alignment": "center"}  # fmt: skip
        figure.legend(
            shapes, categories, ncols=min(SERIES_IN_A_ROW, len(categories)), markerscale=0.8,
            bbox_to_anchor=(0.5, (below - 0.24) / height), **look,
        )  # fmt: skip
        figure.legend(
            patches, names, ncols=min(SERIES_IN_A_ROW, len(names)),
            bbox_to_anchor=(0.5, (below - 0.45) / height), **look,
        )  # fmt: skip
    return figure


SERIES_IN_A_ROW = 7


def _marker(i: int) -> str:
    return MARKERS[i % len(MARKERS)]


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def encoded(figure: Figure) -> tuple[bytes, bytes]:
    """The figure as PNG, and without its title as PDF with embedded TrueType fonts; the same bytes for the same
    figure."""
    with matplotlib.rc_context(_STYLE):
        there = figure.bbox_inches
        needed = Bbox.union([there, figure.get_tightbbox()])  # a long name of a start may reach over the edge
        box = None if np.allclose(needed.bounds, there.bounds, atol=0.01) else needed.padded(0.04)
        return _encode(figure, "png", {"Software": None}, box), pdf(figure)


def pdf(figure: Figure) -> bytes:
    """The figure as PDF without its title, which is gone from the figure then."""
    with matplotlib.rc_context(_STYLE):
        for text in figure.findobj(lambda artist: artist.get_gid() == _TITLE):
            text.set_visible(False)
        there, tight = figure.bbox_inches, figure.get_tightbbox()
        low, high = min(there.x0, tight.x0), max(there.x1, tight.x1)
        box = Bbox([[low, min(there.y0, tight.y0)], [high, tight.y1 + 0.04]])
        return _encode(figure, "pdf", {"CreationDate": None, "ModDate": None}, box)


def _encode(figure: Figure, kind: str, metadata: dict[str, None], box: Bbox | None) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=PNG_DPI, metadata=metadata, bbox_inches=box)
    return stream.getvalue()


def _languages(mean: pd.DataFrame) -> int:
    """How many rows or columns there are, whichever are more, without averages."""
    return max(sum(name not in MARGINS for name in names) for names in (mean.index, mean.columns))


_MARGIN_TEXTS = {ZERO_SHOT: "zero-\nshot", IN_LANGUAGE: "in-lan-\nguage"}
"""Their names in two lines, beside names of languages, which are short."""


def _places(names: list[str]) -> list[float]:
    """Left or upper edge of every row or column in cells; averages stand a gap apart."""
    return [i + (GAP if name in MARGINS else 0) for i, name in enumerate(names)]


def _frame(height: float, width: float, inches: float) -> tuple[Figure, Axes, Axes]:
    """Figure of so many ``inches``, axes for square cells, and axes for the colour bar, for so many cells."""
    left, right, bottom, top, gap, bar_width = (
        (0.72, 0.95, 0.08, 0.72, 0.14, 0.12) if inches >= WIDTH else (0.56, 0.5, 0.04, 0.7, 0.08, 0.08)
    )  # inches around the cells
    side = min((inches - left - right) / width, 0.62)
    total = side * height + bottom + top
    figure = _figure(total, inches)
    # few languages make a small matrix: it stands in the middle
    left += (inches - left - right - side * width) / 2
    axes = figure.add_axes((left / inches, bottom / total, side * width / inches, side * height / total))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    bar_left = left + side * width + gap
    bar = figure.add_axes((bar_left / inches, bottom / total, bar_width / inches, side * height / total))
    return figure, axes, bar


class _Numbers(NamedTuple):
    """How the numbers of a heat map are written: ``size`` in points, ``spreads`` whether there is room for them."""

    decimals: int
    size: float
    spreads: bool


def _numbers(mean: pd.DataFrame, side: float, column: bool) -> _Numbers | None:
    """None where places, ``side`` points wide, have no room for numbers of 7 points; at full width of 6 points."""
    languages = _languages(mean)
    if column:
        return _Numbers(0, 7.0, False) if side >= 10 else None
    if languages > NUMBERS_UP_TO:
        return None
    return _Numbers(1 if languages <= DECIMAL_UP_TO else 0, _size(languages), languages <= SD_UP_TO)


def _cell(
    axes: Axes,
    corner: tuple[float, float],
    value: float,
    spread: float,
    norm: Normalize,
    colours: matplotlib.colors.Colormap,
    numbers: _Numbers | None,
    own: bool,
    signed: bool,
) -> None:
    x, y = corner
    inset = 0.02
    place = ((x + inset, y + inset), 1 - 2 * inset, 1 - 2 * inset)
    if math.isnan(value):
        axes.add_artist(Rectangle(*place, facecolor="#f1f1f1", edgecolor="#a0a0a0", hatch="/////", linewidth=0))
        if numbers:
            box = {"facecolor": "#f1f1f1", "edgecolor": "none", "pad": 0.8}
            axes.text(x + 0.5, y + 0.5, MISSING, ha="center", va="center", fontsize=numbers.size - 1, bbox=box)
        return
    colour = colours(norm(value))
    axes.add_artist(Rectangle(*place, facecolor=colour, edgecolor="none"))
    ink = _ink(colour)
    if own:
        outline = 0.07
        frame = ((x + outline, y + outline), 1 - 2 * outline, 1 - 2 * outline)
        width = 1.0 if numbers else 0.6
        axes.add_artist(Rectangle(*frame, fill=False, edgecolor=ink, linewidth=width))
    if numbers is None:
        return
    text = number(value, numbers.decimals, signed)
    lines = [
        (text if numbers.spreads or numbers.decimals else text.replace(MINUS, "-"), numbers.size)
    ]  # it is narrower
    if numbers.spreads and not math.isnan(spread):
        lines.append((f"±{number(spread)}", 7))
    for (text, size), up in zip(lines, (4.2, -4.8) if len(lines) == 2 else (0,), strict=True):  # points from the middle
        shifted = offset_copy(axes.transData, axes.figure, y=up, units="points")
        axes.text(
            x + 0.5, y + 0.5, text, transform=shifted, in_layout=False,
            ha="center", va="center", fontsize=size, color=ink,
        )  # fmt: skip


def _size(languages: int) -> float:
    """Font size of the numbers in points, so that they fit their places at 6.3 inches."""
    return 8.0 if languages <= 10 else 7.5 if languages <= DECIMAL_UP_TO else 7.0 if languages <= 22 else 6.0


def _ink(colour: tuple[float, float, float, float]) -> str:
    """Black or white, whichever has the higher contrast (WCAG 2) on an RGBA colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
    return "black" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "white"


def _finish(
    axes: Axes,
    mean: pd.DataFrame,
    rows: list[float],
    columns: list[float],
    title: str,
    row_name: str,
    column: bool,
) -> None:
    longest = _languages(mean)
    size = 6 if longest > NUMBERS_UP_TO else 7 if column else 8
    turned = (
        column or longest > 14 or max((len(str(name)) for name in mean.columns if name not in MARGINS), default=0) > 5
    )
    heads = [name if turned else _MARGIN_TEXTS.get(name, name) for name in mean.columns]
    axes.set_xticks([x + 0.5 for x in columns], heads, fontsize=size, rotation=90 if turned else 0)
    axes.set_yticks([y + 0.5 for y in rows], list(mean.index), fontsize=size)
    axes.tick_params(length=0, pad=2, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("target", fontsize=7 if column else 8, labelpad=2 if column else 5)
    axes.set_ylabel(row_name, fontsize=7 if column else 8, labelpad=1 if column else 3)
    axes.set_title(title, fontsize=9.5, fontweight="bold", pad=6, gid=_TITLE)
    axes.spines[:].set_visible(False)
