"""The page of a study: `analysis.report.html.page_data.Page` in, one self-contained HTML text out.

Computes no statistics but differences to the reference start and the averages of the table that stands where no script
runs.

Everything is escaped. Numbers for the script are JSON without any character that could end its element.
"""

import base64
import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from analysis.audit.finding import Severity
from analysis.report.html.page_data import Kind, Listing, Matrix, Page, Picture
from analysis.statistics import tables
from analysis.statistics.means import CONFIDENCE
from analysis.statistics.tables import MINUS, MISSING
from analysis.transfer import matrices
from nertransfer.core.schema import ALL
from nertransfer.core.text import count

TEMPLATES = Path(__file__).parent / "templates"
STEPS = 33
"""Colours of a scale; odd, so that zero of a difference has the one in the middle."""
DENSE_ABOVE = 14
"""With more rows or columns, a matrix has small places without decimals."""
LONG_ABOVE = 25
"""A listing with more rows can be filtered, and shows so many first."""
EXAMPLES = 12
"""Rows of a finding that stand on the page."""
NOTES_OPEN_UP_TO = 6
"""With more findings, the notes among them are folded."""
BUTTONS_UP_TO = 8
"""With more to choose from, a switch is a list instead of buttons."""
CLIP = 98
"""Percentile of sds and of differences that the strongest colour starts at: one outlier does not pale the others."""


def render(page: Page) -> str:
    """``index.html``: styles, script and images inside, nothing fetched from anywhere."""
    scale = scales(page)
    findings = sorted(page.findings, key=lambda finding: -finding.severity)
    folded = {Severity.NOTE} if len(findings) > NOTES_OPEN_UP_TO else set()
    return filled(
        "page.html.j2",
        page=page,
        findings=[finding for finding in findings if finding.severity not in folded],
        notes=[finding for finding in findings if finding.severity in folded],
        worst=findings[0].severity.name.lower() if findings else "",
        examples=EXAMPLES,
        buttons=BUTTONS_UP_TO,
        categories=categories(page.matrices),
        titles={matrix.name: matrix.title for matrix in page.matrices},
        first=first_matrix(page.matrices, scale["mean"]),
        data=embedded(script_data(page, scale)),
        palette=Markup(palette_css()),
        run_url=_run_url(page),
        cells=functools.partial(listing_rows, runs=page.runs),
        images=_images(page),
        adapted=any(targets for matrix in page.matrices for targets in matrix.adapted.values()),
    )


def filled(template: str, scripts: Sequence[str] = (), **values: object) -> str:
    """A page of `TEMPLATES` with styles and scripts inside; ``scripts``: those it has beside ``page.js``."""
    return (
        _environment()
        .get_template(template)
        .render(
            style=_inline("page.css"), script=_inline("page.js"), further=[_inline(name) for name in scripts], **values
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"href": quote, "segment": functools.partial(quote, safe="")}
    environment.globals |= {"count": count, "counted": counted, "numeric": numeric, "shown": shown}
    return environment


def _inline(name: str) -> Markup:
    """A style sheet or script of ours, as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _run_url(page: Page) -> str:
    """Only web addresses become links."""
    return page.run_url if page.run_url.startswith(("http://", "https://")) else ""


# --- cells of listings -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One cell of a listing: its text, the number it is sorted by (empty: none), and the runs that it links to."""

    text: str
    value: str = ""
    runs: Sequence[tuple[int, str]] = ()


def numeric(kind: Kind) -> bool:
    """Whether a column of this kind is set as numbers."""
    return kind not in ("text", "runs")


def listing_rows(listing: Listing, runs: Mapping[str, Sequence[tuple[int, str]]]) -> list[list[Entry]]:
    """The rows of a listing as they are shown. Raises KeyError for a column that its frame does not have."""
    columns = []
    for column in listing.columns:
        values = listing.frame[column.name]
        decimals = decimals_of(values) if column.kind == "number" else None
        columns.append([entry(value, column.kind, runs, decimals) for value in values])
    return [list(row) for row in zip(*columns, strict=True)]


def decimals_of(values: Iterable[object]) -> int | None:
    """Decimals of all numbers of a column, so that the largest has three significant digits; 0 where all are whole.

    None where there is no number, and where all are below 0.0001: then each is shown for itself.
    """
    numbers = [abs(float(value)) for value in values if not _missing(value)]  # type: ignore[arg-type]
    numbers = [x for x in numbers if math.isfinite(x)]
    if not numbers or max(numbers) < 1e-4:
        return None
    if all(x == round(x) for x in numbers):
        return 0
    return max(0, 2 - math.floor(math.log10(float(f"{max(numbers):.3g}"))))


def entry(
    value: object, kind: Kind, runs: Mapping[str, Sequence[tuple[int, str]]], decimals: int | None = None
) -> Entry:
    """A value as it is shown and sorted; ``decimals``: of numbers, those of its column."""
    if kind == "runs":
        found = [] if _missing(value) else runs.get(str(value), ())
        return Entry("" if found else MISSING, runs=found)
    if numeric(kind):
        return Entry(shown(value, kind, decimals), "" if _missing(value) else repr(float(value)))  # type: ignore[arg-type]
    return Entry(shown(value, kind))


def shown(value: object, kind: Kind, decimals: int | None = None) -> str:
    """A value as text: numbers with a true minus sign, n/a where there is none; ``decimals``: of a ``number``."""
    if _missing(value):
        return MISSING
    if not numeric(kind):
        return str(value)
    x = float(value)  # type: ignore[arg-type]
    return {
        "percent": lambda: tables.number(x),
        "points": lambda: tables.number(x, signed=True),
        "number": lambda: significant(x) if decimals is None else _fixed(x, decimals),
        "p": lambda: p_value(x),
        "count": lambda: f"{x:,.0f}".replace("-", MINUS),
        "share": lambda: f"{tables.number(100 * x)} %",
    }[kind]()


def _missing(value: object) -> bool:
    return bool(pd.isna(value))


def _fixed(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", MINUS)  # no minus before a zero


def significant(value: float) -> str:
    """Three significant digits; whole numbers in full, and a power of ten below 0.0001."""
    if value and abs(value) < 1e-4:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa} × 10^{int(exponent)}".replace("-", MINUS)
    if not math.isfinite(value) or value == round(value):
        return f"{value:,.0f}".replace("-", MINUS)
    rounded = float(f"{value:.3g}")
    digits = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{value:,.{digits}f}".replace("-", MINUS)


def p_value(value: float) -> str:
    """Three decimals, and ``< 0.001`` below them."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def counted(column: pd.Series) -> bool:
    """Whether a column of a finding holds numbers."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


# --- matrices ----------------------------------------------------------------------------------------


def categories(shown_matrices: Sequence[Matrix]) -> list[str]:
    """Every category of the matrices, in their order."""
    return list(dict.fromkeys(name for matrix in shown_matrices for name in matrix.statistics))


def frame_of(matrix: Matrix, category: str, statistic: str) -> pd.DataFrame | None:
    """One frame of a matrix with its rows and targets in order; None where it is absent."""
    frame = matrix.statistics.get(category, {}).get(statistic)
    return None if frame is None else frame.reindex(index=matrix.rows, columns=matrix.targets)


def is_reference(matrix: Matrix, reference: Matrix | None) -> list[bool]:
    """By row, whether it is a configuration of the reference itself: its difference would be zero by definition."""
    theirs = set(reference.configurations.values()) if reference else set()
    return [matrix.configurations.get(row) in theirs for row in matrix.rows]


def source_of(matrix: Matrix, row: str) -> str:
    """The source of a row: the row itself, or in a matrix of starts what its configuration says."""
    if matrix.row_name != "start":
        return row
    return matrix.configurations.get(row, "").removeprefix(f"{row}-")


def difference(matrix: Matrix, reference: Matrix | None, category: str) -> pd.DataFrame | None:
    """Means minus those of the reference start with the same source and target, in points.

    NaN where either is missing and in rows of the reference itself; None where nothing is left.
    """
    mean = frame_of(matrix, category, "mean")
    base = None if reference is None else frame_of(reference, category, "mean")
    if mean is None or base is None:
        return None
    sources = [source_of(matrix, row) for row in matrix.rows]
    found = mean - base.reindex(index=sources, columns=matrix.targets).to_numpy(float)
    found[is_reference(matrix, reference)] = np.nan
    return found if found.notna().any(axis=None) else None


def reference_matrix(page: Page) -> Matrix | None:
    """The matrix of the reference start."""
    return next((matrix for matrix in page.matrices if matrix.name == page.reference), None)


@dataclass(frozen=True)
class Scale:
    """The numbers of the palest and the strongest colour; ``clipped``: there are numbers beyond."""

    low: float
    high: float
    clipped: bool = False


def scales(page: Page) -> dict[str, Scale]:
    """One colour scale for each statistic, over all matrices and categories."""
    reference = reference_matrix(page)
    every = [(matrix, category) for matrix in page.matrices for category in matrix.statistics]
    mean, sd, differences = (
        [frame for frame in found if frame is not None]
        for found in (
            [frame_of(matrix, category, "mean") for matrix, category in every],
            [frame_of(matrix, category, "sd") for matrix, category in every],
            [difference(matrix, reference, category) for matrix, category in every],
        )
    )
    spread, clipped_spread = _reach(sd)
    gap, clipped_gap = _reach(differences)
    return {
        "mean": Scale(*matrices.limits(mean)),
        "sd": Scale(0.0, spread, clipped_spread),
        "difference": Scale(-gap, gap, clipped_gap),
    }


def _reach(frames: Iterable[pd.DataFrame]) -> tuple[float, bool]:
    """A whole number that nearly all absolute numbers are below, and whether some are above it."""
    numbers = np.abs(np.concatenate([np.empty(0), *(frame.to_numpy(float).ravel() for frame in frames)]))
    numbers = numbers[~np.isnan(numbers)]
    reach = float(max(1, math.ceil(np.percentile(numbers, CLIP)))) if len(numbers) else 1.0
    return reach, bool((numbers > reach).any())


def step(value: float, scale: Scale) -> int:
    """Which colour of the scale a number has, from 0 to `STEPS` - 1."""
    strength = (value - scale.low) / (scale.high - scale.low)
    return min(STEPS - 1, max(0, math.floor(strength * STEPS)))


@dataclass(frozen=True)
class Place:
    """One place of the table that stands where no script runs; ``colour`` names a class of the palette."""

    text: str
    colour: str = ""
    own: bool = False
    margin: bool = False


@dataclass(frozen=True)
class Static:
    """The means of a matrix with its averages, as text; ``heads``: of columns, and whether they are averages."""

    matrix: Matrix
    file: str
    dense: bool
    heads: Sequence[tuple[str, bool]]
    rows: Sequence[tuple[str, Sequence[Place]]]


def first_matrix(shown_matrices: Sequence[Matrix], scale: Scale) -> Static | None:
    """The means of the first matrix, all categories together; None without matrices."""
    if not shown_matrices:
        return None
    matrix = shown_matrices[0]
    category = ALL if ALL in matrix.statistics else categories([matrix])[0]
    mean = matrix.statistics[category]["mean"].reindex(index=matrix.rows, columns=matrix.targets)
    dense = max(mean.shape) > DENSE_ABOVE
    outlined = [[target in matrix.own.get(str(row), ()) for target in mean.columns] for row in mean.index]
    wide = matrices.with_margins(mean, np.array(outlined, dtype=bool).reshape(mean.shape))
    rows = []
    for i, head in enumerate(wide.index):
        places = []
        for j in range(len(wide.columns)):
            value, margin = float(wide.iloc[i, j]), i >= len(mean) or j >= len(mean.columns)
            colour = "missing" if math.isnan(value) else "" if margin else f"mean{step(value, scale)}"
            own = not margin and outlined[i][j]
            places.append(Place(tables.number(value, 0 if dense else 1), colour, own, margin))
        rows.append((str(head), places))
    heads = [(str(name), j >= len(mean.columns)) for j, name in enumerate(wide.columns)]
    return Static(matrix, matrix.files[category]["mean"], dense, heads, rows)


# --- what the script is given ------------------------------------------------------------------------


def script_data(page: Page, scale: Mapping[str, Scale]) -> dict:
    """Every number and name that the script shows, as plain values; NaN is None."""
    reference = reference_matrix(page)
    used = {name for matrix in page.matrices for name in matrix.configurations.values()}
    return {
        "matrices": [_matrix_data(matrix, reference) for matrix in page.matrices],
        "scales": {name: vars(found) for name, found in scale.items()},
        "reference": page.reference,
        "runs": [[name, [[int(seed), run] for seed, run in page.runs[name]]] for name in page.runs if name in used],
        "run_url": _run_url(page),
        "languages": [list(pair) for pair in page.languages.items()],
        "confidence": round(100 * CONFIDENCE),
        "steps": STEPS,
        "dense_above": DENSE_ABOVE,
        "margins": [matrices.ZERO_SHOT, matrices.IN_LANGUAGE],
    } | LISTINGS_DATA


LISTINGS_DATA = {"long_above": LONG_ABOVE, "missing": MISSING, "minus": MINUS}
"""What the script needs for listings."""


def _matrix_data(matrix: Matrix, reference: Matrix | None) -> dict:
    statistics: dict[str, dict[str, list[list[float | None]] | list[int]]] = {}
    for category in matrix.statistics:
        frames = {name: frame_of(matrix, category, name) for name in ("mean", "sd", "n", "low", "high")}
        frames["difference"] = difference(matrix, reference, category)
        statistics[category] = {name: _plain(frame) for name, frame in frames.items() if frame is not None}
        there = matrix.statistics[category]["mean"].columns
        statistics[category]["without"] = [j for j, target in enumerate(matrix.targets) if target not in there]
    return {
        "name": matrix.name,
        "title": matrix.title,
        "row_name": matrix.row_name,
        "rows": list(matrix.rows),
        "targets": list(matrix.targets),
        "own": [list(matrix.own.get(row, ())) for row in matrix.rows],
        "adapted": [list(matrix.adapted.get(row, ())) for row in matrix.rows],
        "is_reference": is_reference(matrix, reference),
        "configurations": [matrix.configurations.get(row) for row in matrix.rows],
        "statistics": list(statistics.items()),
        "files": [(name, {what: quote(file) for what, file in files.items()}) for name, files in matrix.files.items()],
    }


def _plain(frame: pd.DataFrame) -> list[list[float | None]]:
    """Rows of numbers at full precision, so that they round as they do elsewhere; whole ones without a point."""
    return [
        [None if math.isnan(x) else int(x) if x == int(x) else x for x in row] for row in frame.to_numpy(float).tolist()
    ]


def embedded(value: object) -> Markup:
    """JSON that stays inside a script element whatever its texts are: no ``<``, ``>``, ``&`` nor U+2028.

    Raises ValueError for numbers that are not finite.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


# --- colours -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Palette:
    """Colours from the lowest to the highest number, on a light and on a dark page."""

    light: Sequence[str]
    dark: Sequence[str]


PALETTES = {
    "mean": Palette(
        ("#f3f8ea", "#cfe8d5", "#92d0c4", "#55b2c5", "#348abd", "#2b5da6", "#1e3272"),
        ("#1d2833", "#20455f", "#246a7f", "#38908f", "#6db58f", "#b3d69b", "#f1f3c2"),
    ),
    "sd": Palette(
        ("#f7f4fa", "#e2d6ec", "#c4a9d8", "#a078c2", "#774a9e", "#4c2373"),
        ("#25212e", "#423359", "#654b8a", "#8d6db4", "#bc9cd7", "#ead8f7"),
    ),
    "difference": Palette(
        ("#97300f", "#cc6539", "#eda984", "#f8dfd0", "#f5f5f5", "#d3e4f2", "#93bfe0", "#4189c1", "#134f8c"),
        ("#ffb392", "#df784f", "#a45231", "#603a2a", "#2a2f36", "#284660", "#2f6ca1", "#5ba0db", "#abd4ff"),
    ),
}
"""Light to dark in one direction, or orange through grey to blue: told apart by the colour-blind, and in grey."""


def colours(stops: Sequence[str]) -> list[tuple[int, int, int]]:
    """`STEPS` colours, red, green and blue from 0 to 255, evenly along the stops."""
    rgb = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops], dtype=float)
    at = np.linspace(0, len(stops) - 1, STEPS)
    channels = [np.interp(at, np.arange(len(stops)), rgb[:, i]) for i in range(3)]
    return [tuple(round(float(c[i])) for c in channels) for i in range(STEPS)]  # type: ignore[misc]


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance from 0 to 1 (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in colour)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def ink(colour: tuple[int, int, int]) -> str:
    """Black or white, whichever has the higher contrast (WCAG 2.2): at least 4.5 on any colour."""
    light = luminance(colour)
    return "#000" if (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) else "#fff"


def palette_css() -> str:
    """A class for every colour of every scale, such as ``.mean0``, and one for its legend; dark where that is asked."""
    light, dark = ("\n".join(_rules(theme)) for theme in ("light", "dark"))
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def _rules(theme: str) -> list[str]:
    rules = []
    for name, palette in PALETTES.items():
        found = colours(getattr(palette, theme))
        codes = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in found]
        rules += [
            f".{name}{i} {{ background: {code}; color: {ink(colour)} }}"
            for i, (code, colour) in enumerate(zip(codes, found, strict=True))
        ]
        rules.append(f".ramp-{name} {{ background: linear-gradient(to right, {', '.join(codes)}) }}")
    return rules


# --- pictures ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Image:
    """A PNG inside the page; width and height in pixels hold its place while it is decoded."""

    address: str
    width: int
    height: int


def _images(page: Page) -> dict[str, Image]:
    """The pictures of the sections by stem. Raises KeyError for one that the page does not have."""
    pictures: list[Picture] = [picture for section in page.sections for picture in section.pictures]
    return {picture.stem: image(page.images[picture.stem]) for picture in pictures}


def image(content: bytes) -> Image:
    """A PNG as a data address; its size stands in its header (PNG specification, section 11.2.1).

    Raises ValueError for anything but a PNG.
    """
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
        raise ValueError("a picture of the page must be a PNG")
    width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
    return Image(f"data:image/png;base64,{base64.b64encode(content).decode()}", width, height)
