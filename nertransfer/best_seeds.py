"""The best seed of every start and source, of those that were made from the same. Pure, over runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from nertransfer import schema
from nertransfer.current import last_asked
from nertransfer.errors import InputError
from nertransfer.grid import Place
from nertransfer.lineage import differences, lineage_of
from nertransfer.store import Run


@dataclass(frozen=True)
class Choice:
    """The best seed of one start on one source, among ``compared`` seeds, by ``f1`` on the selection split.

    ``apart``: finished seeds that were made from something else before, so that their scores say nothing here.
    """

    source: str
    start: str
    run: Run
    f1: float
    compared: tuple[int, ...]
    selection_split: str
    apart: tuple[Run, ...] = ()

    @property
    def key(self) -> str:
        return self.run.data.tags[schema.CELL_KEY]

    @property
    def seed(self) -> int:
        return int(self.run.data.tags[schema.SEED])

    @property
    def words(self) -> str:
        """For people: which run it is, with its score, and among how many seeds."""
        seeds = f"best of {len(self.compared)} seeds" if len(self.compared) > 1 else "the only seed"
        score = f"{self.selection_split} F1 {100 * self.f1:.2f} %"
        return f"{self.run.info.run_name}: {score}, {seeds} of start {self.start}"

    def beats(self, f1: float, seed: int) -> bool:
        """Whether it is chosen before a seed with that F1 on the selection split."""
        return _first_is_best(self.f1, self.seed) < _first_is_best(f1, seed)


def choose(cells: Mapping[Place, Run], selection_split: str = "dev") -> list[Choice]:
    """The best seed of every (source, start), sorted by source and start.

    By F1 of the source's ``selection_split``; equal scores go to the smallest seed, so the choice does not depend
    on the order of the runs. Only seeds that were made from the same are compared: corpus, weights of the start and
    recipe are those of the seed that was asked for last.
    """
    groups: dict[tuple[str, str], dict[int, Run]] = {}
    for (start, source, seed), run in cells.items():
        groups.setdefault((source, start), {})[seed] = run
    found = []
    for (source, start), all_seeds in sorted(groups.items()):
        by_seed, apart = _made_alike(all_seeds)
        metric = schema.ScoreName(selection_split, schema.F1, source).key
        scored = {seed: run for seed, run in by_seed.items() if metric in run.data.metrics}
        if not scored:
            raise InputError(
                f"no seed of {start}-{source} has {metric}: score the source's {selection_split} split first"
            )
        best = min(scored, key=lambda seed: _first_is_best(scored[seed].data.metrics[metric], seed))
        f1 = scored[best].data.metrics[metric]
        found.append(Choice(source, start, scored[best], f1, tuple(sorted(scored)), selection_split, apart))
    return found


def _first_is_best(f1: float, seed: int) -> tuple[float, int]:
    """Sorts seeds: the best one first, of equals the smallest."""
    return -f1, seed


def _made_alike(by_seed: Mapping[int, Run]) -> tuple[dict[int, Run], tuple[Run, ...]]:
    """The seeds that were made from what the one asked for last was made from, and the others."""
    wanted = lineage_of(max(by_seed.values(), key=last_asked)).made_from
    alike = {seed: run for seed, run in by_seed.items() if lineage_of(run).made_from == wanted}
    return alike, tuple(by_seed[seed] for seed in sorted(by_seed.keys() - alike.keys()))


def not_compared(choice: Choice) -> list[str]:
    """Which seeds of a choice's start and source were not compared, and why."""
    new = lineage_of(choice.run)
    by_reason: dict[str, list[str]] = {}
    for run in choice.apart:
        reasons = differences(lineage_of(run), new, {choice.start: new.weights})
        by_reason.setdefault("; ".join(reasons.values()), []).append(run.data.tags[schema.SEED])
    return [
        f"seed{'s' * (len(seeds) > 1)} {', '.join(seeds)} of start {choice.start} not compared: {reason}"
        for reason, seeds in by_reason.items()
    ]
