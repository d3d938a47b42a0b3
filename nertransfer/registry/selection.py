"""Which seed of a start and source is best, what a version was made from, and how two versions differ. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from nertransfer.core import schema
from nertransfer.core.errors import InputError
from nertransfer.core.grid import SEPARATOR, Place, languages_of
from nertransfer.core.options import Recipe
from nertransfer.tracking.current_cells import last_asked
from nertransfer.tracking.store import Run

CORPUS, RECIPE, WEIGHTS, OTHER_STUDY, PIN = "corpus", "recipe", "start weights", "study", "pin"
REPLACE_ALL = frozenset({CORPUS, RECIPE, WEIGHTS, OTHER_STUDY, PIN})
"""Every reason for which registering leaves an alias where it is, unless it is told to replace."""
STUDY_REPLACES = frozenset({RECIPE})
"""What a study's own command says, and its rerun therefore replaces. Files may change without anybody noticing."""

DIGITS_SHOWN = 12


@dataclass(frozen=True)
class Lineage:
    """Digests of what a version was made from; an empty one is not known. ``corpus``: those of all languages of the
    source, joined. ``settings``: the recipe's parameters."""

    study: str
    start: str
    source: str
    corpus: str
    train: str
    weights: str
    recipe: str
    settings: Mapping[str, str]

    @property
    def made_from(self) -> tuple[str, ...]:
        """Equal for two seeds that can be compared by their scores alone."""
        return self.corpus, self.train, self.weights, self.recipe

    @property
    def _corpora(self) -> tuple[Sequence[str], Sequence[str]]:
        return languages_of(self.source), self.corpus.split(SEPARATOR)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of a version that keep it, settings apart: those stand with its run."""
        return {
            schema.STUDY: self.study,
            schema.START: self.start,
            schema.SOURCE: self.source,
            **{schema.CORPUS_DIGEST_OF + name: one for name, one in zip(*self._corpora, strict=True)},
            schema.TRAIN_DIGEST: self.train,
            schema.START_FINGERPRINT: self.weights,
            schema.RECIPE_DIGEST: self.recipe,
        }


def corpus_digest(digests: Mapping[str, str], source: str) -> str:
    """The digests of the corpora of all languages of a source, joined, as `Lineage` has them; given by language."""
    return SEPARATOR.join(digests.get(name, "") for name in languages_of(source))


def lineage(tags: Mapping[str, str], params: Mapping[str, str], study: str) -> Lineage:
    """The lineage that the tags of a version or of a cell's run tell; ``params`` are the run's."""
    source = tags.get(schema.SOURCE, "")
    names = [field.name for field in fields(Recipe)]
    settings = {name: params[schema.CONFIG + name] for name in names if schema.CONFIG + name in params}
    return Lineage(
        tags.get(schema.STUDY, study), tags.get(schema.START, ""), source,
        corpus_digest(schema.unpacked(tags, schema.CORPUS_DIGESTS), source),
        tags.get(schema.TRAIN_DIGEST, ""),
        tags.get(schema.START_FINGERPRINT, ""), tags.get(schema.RECIPE_DIGEST, ""), settings,
    )  # fmt: skip


def lineage_of(run: Run, study: str = "") -> Lineage:
    """The lineage of what a cell's run made."""
    return lineage(run.data.tags, run.data.params, study)


def differences(old: Lineage, new: Lineage, weights: Mapping[str, str]) -> dict[str, str]:
    """Why versions of the two cannot be compared by their scores alone: reason -> words for people.

    ``weights``: fingerprints of the starts as they are now, by name. A start of another name is no difference; the
    same name with other weights is.
    """
    if not old.source:
        return {OTHER_STUDY: "it is not known to be made by a cell"}
    found = {}
    if old.study != new.study:
        found[OTHER_STUDY] = f"it belongs to study {old.study}, not to {new.study}"
    if old.corpus != new.corpus:
        what = "the train split" if old.train != new.train else "the dev or test split"
        found[CORPUS] = f"{what} of {new.source} has changed ({_moved(old.corpus, new.corpus)})"
    if old.recipe != new.recipe:
        found[RECIPE] = f"another recipe ({_changes(old, new)})"
    now = weights.get(old.start)
    if now is not None and now != old.weights:
        found[WEIGHTS] = f"the start {old.start} has other weights now ({_moved(old.weights, now)})"
    return found


def _moved(old: str, new: str) -> str:
    return f"SHA-256 {old[:DIGITS_SHOWN] or 'not known'} -> {new[:DIGITS_SHOWN] or 'not known'}"


def _changes(old: Lineage, new: Lineage) -> str:
    names = dict.fromkeys([*old.settings, *new.settings])
    pairs = {name: (old.settings.get(name, "?"), new.settings.get(name, "?")) for name in names}
    changed = [f"{name} {before} -> {after}" for name, (before, after) in pairs.items() if before != after]
    return ", ".join(changed) or f"{old.recipe or 'not known'} -> {new.recipe or 'not known'}"


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
