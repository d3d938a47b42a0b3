"""How long the rest of a number of cells takes, by the pace of those that ran last."""

from dataclasses import dataclass, field

ROUNDS = 2
LEAST = 5
"""The pace is that of so many rounds of cells, and of at least so many cells."""


@dataclass
class _AtWork:
    """``first`` and ``now``: fractions that were done when the cell was first seen, and are done now."""

    title: str
    first: float
    now: float


@dataclass
class Pace:
    """``total`` cells, ``at_once`` of them at the same time; ``began`` and ``now`` in seconds of any clock.

    Work is counted in cells: those that ran, and fractions of those at work. A cell that went on from a checkpoint
    counts with what was left of it, and one that was found finished, or failed, not at all.
    """

    total: int
    at_once: int
    began: float
    _work: float = 0.0
    _ended: int = 0
    _at_work: dict[int, _AtWork] = field(default_factory=dict)
    _marks: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._marks.append((self.began, 0.0))

    def progress(self, worker: int, title: str, fraction: float) -> None:
        """A worker has done this fraction of what is called ``title``: a cell's training, and then its scoring."""
        known = self._at_work.get(worker)
        if known is None:
            self._at_work[worker] = _AtWork(title, fraction, fraction)
        else:
            known.now = fraction if title == known.title else 1.0

    def ended(self, now: float, worker: int | None = None, ran: bool = True) -> None:
        """One more cell is done with: the ``worker``'s, where its progress was told. ``ran``: it was worked on."""
        self._ended += 1
        cell = self._at_work.pop(worker, None) if worker is not None else None
        if ran:
            self._work += 1.0 - (cell.first if cell else 0.0)
            self._marks.append((now, self._work + self._partial))
            del self._marks[: -1 - max(LEAST, ROUNDS * self.at_once)]

    def idle(self, worker: int) -> None:
        """A worker has no cell any more."""
        self._at_work.pop(worker, None)

    @property
    def _partial(self) -> float:
        return sum(cell.now - cell.first for cell in self._at_work.values())

    def first_guess(self, now: float) -> float | None:
        """Seconds of all cells, by the fractions done before one has ended; None until every worker has some."""
        begun = all(cell.now > cell.first for cell in self._at_work.values())
        return (now - self.began) / self._partial * self.total if self._at_work and begun else None

    @property
    def left(self) -> float | None:
        """Seconds from the last end of a cell to the end of all; None where nothing is known or nothing is left."""
        (first, before), (last, work) = self._marks[0], self._marks[-1]
        rest = self.total - self._ended - sum(cell.now for cell in self._at_work.values())
        if self._ended >= self.total or last <= first or work <= before:
            return None
        return max(0.0, rest) * (last - first) / (work - before)
