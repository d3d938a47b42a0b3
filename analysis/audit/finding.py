"""What the audit of a study says: one thing to know, and how much it matters."""

from dataclasses import dataclass, field
from enum import IntEnum

import pandas as pd


class Severity(IntEnum):
    """How much a finding can change what the tables say."""

    WRONG = 3
    CARE = 2
    NOTE = 1


@dataclass(frozen=True)
class Finding:
    """One thing to know: ``title`` in a few words, ``text`` with its numbers, ``rows`` in full.

    ``kind`` names the file of the rows; empty where there are none.
    """

    severity: Severity
    kind: str
    title: str
    text: str
    rows: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)
