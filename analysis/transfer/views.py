"""The transfer matrices of a study by name: one for every start, ``own``, and ``source-<pivot>``. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from analysis.transfer import matrices, pretraining
from analysis.transfer.matrices import Cube
from nertransfer.core.grid import OWN, is_zero_shot
from nertransfer.core.schema import ALL, F1

PIVOT = "source-"


@dataclass(frozen=True)
class View:
    """One transfer matrix: rows, targets, and the scores behind it.

    ``kind``: ``start`` has one start and its sources as rows; ``own`` has every source with the start that was adapted
    to it; ``pivot`` has one source and its starts as rows; ``languages`` has starts as rows, each place fine-tuned and
    scored on one language. ``frame`` is the tidy frame with ``start`` replaced by
    ``name`` and ``source`` by the row's name. ``wide``: it is a row of the table of the pre-training
    effect (`pretraining.roles`), or a pivot.
    """

    name: str
    kind: Literal["start", "own", "pivot", "languages"]
    rows: list[str]
    targets: list[str]
    frame: pd.DataFrame
    wide: bool

    @property
    def title(self) -> str:
        """What it shows, in words."""
        return {
            "start": f"start {self.name}",
            "own": "each source from its own start",
            "pivot": f"every start, fine-tuned on {self.name.removeprefix(PIVOT)}",
            "languages": "every start, fine-tuned and scored on one language",
        }[self.kind]

    @property
    def row_name(self) -> str:
        """What a row is."""
        return "start" if self.kind in ("pivot", "languages") else "source"

    def cube(self, split: str, category: str = ALL, measure: str = F1, without: Collection[str] = ()) -> Cube:
        """Its scores by seed, in percent, on its targets but those in ``without``."""
        targets = [target for target in self.targets if target not in without]
        return matrices.cube(self.frame, self.name, self.rows, targets, split, category, measure)

    def less(self, targets: Collection[str]) -> "View":
        """The view without these targets."""
        if not targets:
            return self
        kept = [target for target in self.targets if target not in targets]
        return replace(self, targets=kept, frame=self.frame[~self.frame["target"].isin(targets)])

    def is_own(self, row: str, target: str) -> bool:
        """Whether the target is the source that was fine-tuned on, or one of its languages: not zero-shot."""
        if self.kind == "languages":
            return True
        return not is_zero_shot(self.name.removeprefix(PIVOT) if self.kind == "pivot" else row, target)

    def own(self, targets: Collection[str]) -> np.ndarray:
        """(rows, targets) booleans: `is_own`."""
        found = [[self.is_own(row, target) for target in targets] for row in self.rows]
        return np.array(found, dtype=bool).reshape(len(self.rows), len(targets))

    def configuration(self, row: str, target: str = "") -> tuple[str, str]:
        """(start, source) of a row; of ``languages`` that of a place."""
        if self.kind == "languages":
            return row, target
        if self.kind == "pivot":
            return row, self.name.removeprefix(PIVOT)
        return (row if self.kind == "own" else self.name), row


def views(frame: pd.DataFrame, plan: Mapping[str, Sequence], languages: Sequence[str]) -> list[View]:
    """Every matrix of a study: starts in their order (``base`` first), then ``own``, then one for every pivot.

    ``own`` is there where at least two sources have a start of their name; pivots are the planned ones. Where nothing
    was scored zero-shot, ``in-language`` comes first.
    """
    found = []
    alone = frame[frame["source"] == frame["target"]]
    if len(alone) and len(alone) == len(frame):
        targets = [name for name in languages if name in set(alone["target"])]
        starts = list(dict.fromkeys([*plan["starts"], *alone["start"]]))
        part = alone.assign(source=alone["start"], start=matrices.IN_LANGUAGE)
        found.append(View(matrices.IN_LANGUAGE, "languages", starts, targets, part, True))
    axes = matrices.axes(frame, plan, languages)
    wide = pretraining.roles(plan["pairs"])
    for start, (sources, targets) in axes.items():
        found.append(View(start, "start", sources, targets, frame[frame["start"] == start], start in wide))
    targets = [name for name in languages if any(name in columns for _, columns in axes.values())]
    pairs = {*plan["pairs"], *frame[["start", "source"]].drop_duplicates().itertuples(index=False, name=None)}
    own = [name for name in languages if (name, name) in pairs]
    if len(own) > 1:
        part = frame[frame["start"] == frame["source"]].assign(start=OWN)
        found.append(View(OWN, "own", own, targets, part, OWN in wide))
    for pivot in plan["pivots"]:
        rows = [start for start in axes if (start, pivot) in pairs]
        part = frame[frame["source"] == pivot]
        part = part.assign(source=part["start"], start=f"{PIVOT}{pivot}")
        found.append(View(f"{PIVOT}{pivot}", "pivot", rows, targets, part, True))
    return found
