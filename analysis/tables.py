"""Frames and matrices -> text: CSV, and the cells of page tables. Computes nothing but colours' strength."""

import math
from dataclasses import dataclass

import pandas as pd

MISSING = "n/a"
MINUS = "\u2212"


def csv_text(frame: pd.DataFrame, index: bool = False, float_format: str | None = None) -> str:
    """The frame as CSV with a header; floats at full precision unless a format is given; NaN is empty."""
    return frame.to_csv(index=index, float_format=float_format, lineterminator="\n")


def matrix_csv(matrix: pd.DataFrame) -> str:
    """A matrix as CSV: the first column holds the sources, six decimals."""
    return csv_text(matrix, index=True, float_format="%.6f")


def number(value: float, decimals: int = 1, signed: bool = False) -> str:
    """A number with a true minus sign, or n/a."""
    if value is None or math.isnan(value):
        return MISSING
    rounded = round(value, decimals) + 0.0  # no minus before a zero
    return f"{rounded:{'+' if signed and rounded else ''}.{decimals}f}".replace("-", MINUS)


def spread(sd: float, decimals: int = 1) -> str:
    """``± sd``, or nothing where there is none."""
    return "" if sd is None or math.isnan(sd) else f"± {sd:.{decimals}f}"


@dataclass(frozen=True)
class Place:
    """One place of a page table; ``strength`` from 0 to 1 is how deep its background is, None for none."""

    text: str
    note: str = ""
    strength: float | None = None
    own: bool = False
    missing: bool = False
    margin: bool = False


@dataclass(frozen=True)
class Grid:
    """A matrix for a page: column heads, and rows of a head and its places."""

    heads: list[str]
    rows: list[tuple[str, list[Place]]]


def grid(
    mean: pd.DataFrame,
    sd: pd.DataFrame,
    n: pd.DataFrame,
    seeds: int,
    limits: tuple[float, float],
    zero_shot: tuple[pd.Series, pd.Series],
) -> Grid:
    """A transfer matrix with its averages (last row and column), and the zero-shot averages beside them.

    ``n`` marks the places that have fewer than ``seeds`` seeds. ``limits`` are the numbers of the
    palest and the deepest background.
    """
    body_rows, body_columns = len(mean) - 1, len(mean.columns) - 1
    rows = []
    for i, source in enumerate(mean.index):
        places = []
        for j, target in enumerate(mean.columns):
            margin = i == body_rows or j == body_columns
            few = f" (n={int(n.iloc[i, j])})" if not margin and 0 < n.iloc[i, j] < seeds else ""
            note, own = spread(sd.iloc[i, j]) + few, source == target and not margin
            places.append(_place(mean.iloc[i, j], note, limits, own, margin))
        along = _place(zero_shot[0].iloc[i], "", limits, margin=True) if i < body_rows else Place("", margin=True)
        rows.append((str(source), [*places, along]))
    down = [_place(value, "", limits, margin=True) for value in zero_shot[1]]
    rows.append(("zero-shot avg", [*down, Place("", margin=True), Place("", margin=True)]))
    return Grid([*map(str, mean.columns), "zero-shot avg"], rows)


def _place(value: float, note: str, limits: tuple[float, float], own: bool = False, margin: bool = False) -> Place:
    if math.isnan(value):
        return Place(MISSING, own=own, missing=True, margin=margin)
    low, high = limits
    strength = min(1.0, max(0.0, (value - low) / (high - low)))
    return Place(number(value), note.strip(), round(strength, 3), own, margin=margin)


def listing(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def count(n: int, noun: str, plural: str = "") -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{n} {noun if n == 1 else plural or noun + 's'}"
