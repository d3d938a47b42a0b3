"""Where the wall time of a study goes, phase by phase."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from nertransfer.core.text import aligned, duration

IMPORTING, MAKING, CELLS, REGISTRY, REPORT = (
    "starting and importing", "making the planted starts", "cells", "registry", "report",
)  # fmt: skip


@dataclass
class Timing:
    """Where the wall time of a study goes.

    ``seconds`` by phase, in order, from the start of the process on. ``working``: seconds that a worker of this
    machine spent in training and scoring on average, and ``tracking``: in everything else that a cell needs, such
    as claiming, loading, tracking and saving; ``told`` is False where cells ran elsewhere or told no times.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    working: float = 0.0
    tracking: float = 0.0
    told: bool = True

    @staticmethod
    def since_process_began() -> "Timing":
        return Timing({IMPORTING: time.time() - psutil.Process().create_time()})

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    @property
    def parts(self) -> dict[str, float]:
        """The phases, with that of the cells split into what workers spend in training and scoring and the rest."""
        parts = dict(self.seconds)
        if CELLS in parts and self.told:
            idle = parts.pop(CELLS) - self.working - self.tracking
            at = list(parts).index(REGISTRY) if REGISTRY in parts else len(parts)
            items = list(parts.items())
            items[at:at] = [
                ("training and scoring cells", self.working),
                ("claims tracking loading saving", self.tracking),
                ("idle workers", idle),
            ]
            parts = dict(items)
        return parts

    @property
    def overhead(self) -> float:
        """Seconds of importing, reading, planning, tracking and registering."""
        apart = (CELLS, MAKING, REPORT)
        return sum(value for name, value in self.seconds.items() if name not in apart) + self.tracking

    def table(self) -> str:
        """Seconds and percent by phase, for people."""
        total = sum(self.seconds.values())
        rows = [(name, f"{value:.1f} s", f"{100 * value / total:.1f} %") for name, value in self.parts.items()]
        lines = [f"where the time went: {duration(total)} of wall time", *aligned(rows, left=(0,)).splitlines()]
        if self.told:
            lines.append(
                f"importing, reading, planning, tracking and registry together: {self.overhead:.1f} s, "
                f"{100 * self.overhead / total:.1f} %"
            )
        return "\n  ".join(lines)
