"""Frames, matrices, numbers and counts -> text."""

import math

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


def listing(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def p_text(p: float) -> str:
    """A p-value for a sentence: ``p = 0.03``."""
    if p != p:
        return f"p {MISSING}"
    return f"p {'<' if p < 0.001 else '='} {max(p, 0.001):{'.2g' if p < 0.1 else '.2f'}}"
