"""What a study would do and cost, before anything runs: nothing is downloaded, trained or written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nertransfer import corpus as corpora_of
from nertransfer import launch, planted_starts, pool, schema, starts
from nertransfer.cell import few_shot_fits, recipe_digest
from nertransfer.config import PLANTED, RECIPES, StudyConfig
from nertransfer.corpus import Corpus
from nertransfer.display import duration
from nertransfer.errors import InputError
from nertransfer.grid import ADDED, AFTER, Configuration, FewShot, languages_of
from nertransfer.planning import Grid, cell_of, lay_out, load_corpora
from nertransfer.store import Run, Study, public_uri
from nertransfer.tracking import cell_runs, finished_cells, says_what_it_is

PUBLISHED_MINUTES = (10, 30)
"""Of one fine-tuning by the published recipe on one RTX 3090 (Beukman and Fokam 2023)."""
BASE_BYTES = 1_112_000_000
"""Weights of xlm-roberta-base: 278 million parameters of four bytes."""
CHECKPOINT_FACTOR = 3
"""A checkpoint holds weights and both moments of AdamW."""


@dataclass(frozen=True)
class Forecast:
    """``done``: seeds that are finished by configuration. ``seconds``: shortest and longest estimate of the
    wall time of what is missing; None where nothing is known. ``basis``: what the estimate rests on, in words.
    Sizes in bytes: what stays in the artifact store, and what is on disk at most while cells run.
    ``notes``: what could not be known here."""

    grid: Grid
    done: Mapping[Configuration, list[int]]
    at_once: int
    seconds: tuple[float, float] | None
    basis: str
    stored_bytes: int
    working_bytes: int
    notes: Sequence[str]

    @property
    def cells(self) -> int:
        return len(self.grid.configurations) * len(self.grid.seeds)

    @property
    def finished(self) -> int:
        return sum(map(len, self.done.values()))

    @property
    def scores(self) -> int:
        """(cell, target) pairs; each is scored on dev and on test. A cell with sentences of a target has that one."""
        pairs = len(self.grid.pairs) * len(self.grid.seeds)
        return self.cells + pairs * (len(self.grid.targets) - 1)


def foresee(config: StudyConfig, study: Study | None) -> Forecast:
    """The forecast of a study; ``study`` is None where the store has none of that name yet."""
    grid, notes = lay_out(config), []
    corpora = None
    if corpora_of.are_at_hand(config.data):
        corpora = load_corpora(config.data, grid.languages)
    else:
        notes.append(
            f"the corpora of data={config.data.data} are not on this machine yet: finished cells cannot be looked up"
        )
    resolved = _resolve(config, grid)
    for start in resolved.values():
        starts.check_fit(start)
    runs = cell_runs(study, "FINISHED") if study is not None else []
    done: dict[Configuration, list[int]] = {}
    if corpora is not None:
        _check_sentences(grid, corpora)
    if study is not None and runs and corpora is not None:
        done = _done(config, grid, corpora, resolved, study, notes)
    at_once = _at_once(config)
    missing = {one: [s for s in grid.seeds if s not in done.get(one, [])] for one in grid.configurations}
    seconds, basis = _seconds(config, missing, corpora, runs, at_once)
    sizes = {name: _bytes(start) for name, start in resolved.items()}
    if unmade := [name for name, size in sizes.items() if not size]:
        notes.append(f"start {', '.join(unmade)} is not made yet: its size is not known and counts as nothing")
    kept = len(grid.seeds) if config.keep_weights else 1
    largest = max(sizes.values())
    return Forecast(
        grid, done, at_once, seconds, basis, sum(sizes[start] for start, _ in grid.pairs),
        at_once * largest * (1 + CHECKPOINT_FACTOR) + (kept - 1) * sum(sizes[start] for start, _ in grid.pairs), notes,
    )  # fmt: skip


def _check_sentences(grid: Grid, corpora: Mapping[str, Corpus]) -> None:
    """Raises InputError where a target has fewer sentences than are asked for."""
    for language in grid.few_shot_languages:
        for number in grid.few_shot_sentences:
            few_shot_fits(corpora[language], number)


def _resolve(config: StudyConfig, grid: Grid) -> dict[str, starts.Start]:
    catalogue: Mapping[str, str] = starts.CATALOGUE
    if config.data.data == PLANTED:
        precision = "no" if config.recipe.precision == "fp32" else config.recipe.precision
        catalogue = planted_starts.catalogue(config.data, precision)
    return {name: starts.resolve(text, catalogue) for name, text in grid.texts.items()}


def _done(
    config: StudyConfig,
    grid: Grid,
    corpora: Mapping[str, Corpus],
    resolved: Mapping[str, starts.Start],
    study: Study,
    notes: list[str],
) -> dict[Configuration, list[int]]:
    finished = finished_cells(study, {name: corpora[name] for name in grid.targets})
    identities, absent = {}, []
    for name, start in resolved.items():
        try:
            identities[name] = starts.identify(start, local_only=True)
        except InputError:
            absent.append(name)
    if absent:
        notes.append(
            f"start {', '.join(absent)} is not on this machine: its cells cannot be looked up and count as missing"
        )
    done: dict[Configuration, list[int]] = {}
    for configuration in grid.configurations:
        if configuration[0] not in identities:
            continue
        for seed in grid.seeds:
            cell = cell_of(configuration, seed, resolved, identities, corpora, config.recipe)
            if cell.place in finished:
                done.setdefault(configuration, []).append(seed)
    return done


def _at_once(config: StudyConfig) -> int:
    if config.executor != "local":
        return config.slurm.slurm_parallel
    return len(pool.seats(config.workers, config.num_processes, launch.gpus(config.run.device), 1))


def _seconds(
    config: StudyConfig,
    missing: Mapping[Configuration, Sequence[int]],
    corpora: Mapping[str, Corpus] | None,
    runs: Sequence[Run],
    at_once: int,
) -> tuple[tuple[float, float] | None, str]:
    """Wall time of the missing cells, at best and at worst, and what that rests on."""
    number = sum(map(len, missing.values()))
    if not number:
        return (0.0, 0.0), "nothing is missing"
    rounds = -(-number // at_once)
    known = [
        run
        for run in runs
        if run.data.tags.get(schema.RECIPE_DIGEST) == recipe_digest(config.recipe)
        and schema.FEW_SHOT_LANGUAGE not in run.data.tags
        and schema.IMPORTED not in run.data.tags  # how long those took is not known
        and says_what_it_is(run)
    ]
    if known:
        took = [run.data.metrics["train_seconds"] + run.data.metrics["score_seconds"] for run in known]
        languages = {name for run in known for name in languages_of(run.data.tags[schema.SOURCE])}
        if corpora is not None and languages <= set(corpora):
            rate = sum(took) / sum(_words(corpora, run.data.tags[schema.SOURCE], None) for run in known)
            words = sum(_words(corpora, source, few) * len(seeds) for (_, source, few), seeds in missing.items())
            each = rate * words / number
        else:
            each = sum(took) / len(took)
        basis = f"{duration(each)} a cell, as the {len(known)} finished ones of this recipe"
        return (rounds * each, rounds * each), basis
    if config.recipe == RECIPES["published"]:
        low, high = (rounds * 60.0 * minutes for minutes in PUBLISHED_MINUTES)
        return (low, high), (
            f"{PUBLISHED_MINUTES[0]} to {PUBLISHED_MINUTES[1]} min a cell on an RTX 3090 as published, whatever this "
            "machine is; none has finished here yet"
        )
    return None, "not known before the first cell of this recipe has finished"


def _words(corpora: Mapping[str, Corpus], source: str, few: FewShot | None) -> float:
    """Words that a cell is fine-tuned on in an epoch; of a second training, the first stage's are another cell's."""
    words = 0.0
    if few is None or few.mode == ADDED:
        words += sum(corpora[name].train.number_of_words for name in languages_of(source))
    if few is not None:
        train = corpora[few.language].train
        words += few.sentences * train.number_of_words / len(train.sentences)
    return words


def _bytes(start: starts.Start) -> int:
    """Size of a start's weights; that of xlm-roberta-base where it is not on this machine."""
    folder = Path(start.location)
    if folder.is_dir():
        return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return 0 if folder.is_absolute() or len(folder.parts) > 2 else BASE_BYTES  # no hub id: a start not made yet


def text(found: Forecast, name: str, uri: str) -> str:
    """The forecast for people: axes, a line for every configuration, totals."""
    grid = found.grid
    pivots = f"; on {', '.join(grid.pivots)} every own start" if grid.pivots else ""
    lines = [
        f"study {name} on {public_uri(uri)}",
        f"  starts   {', '.join(grid.starts)}{pivots}",
        f"  sources  {', '.join(grid.sources)}",
        f"  targets  {', '.join(grid.targets)}",
        f"  seeds    {', '.join(map(str, grid.seeds))}",
        *([f"  besides  {_few_shot_text(grid)}"] if grid.few_shot_languages else []),
        "",
    ]
    names = {one: one[2].with_source(one[1]) if one[2] else one[1] for one in grid.configurations}
    width = max(10, *map(len, names.values()))
    lines.append(f"{'start':<16} {'source':<{width}} {'done':>5} {'missing':>8}")
    for one, name in names.items():
        done = len(found.done.get(one, []))
        lines.append(f"{one[0]:<16} {name:<{width}} {done:>5} {len(grid.seeds) - done:>8}")
    if found.seconds is None or not found.seconds[1]:
        time = found.basis
    else:
        low, high = (_hours(seconds / 3600) for seconds in found.seconds)
        hours = f"{low} h" if low == high else f"{low} to {high} h"
        time = f"about {hours} with {found.at_once} at a time ({found.basis})"
    lines += [
        "",
        f"configurations  {len(grid.configurations)}",
        f"cells           {found.cells}: {found.finished} done, {found.cells - found.finished} missing",
        f"scores          {found.scores:,} (cell, target), each on dev and test",
        f"time            {time}",
        f"disk            {_size(found.stored_bytes)} in the artifact store for the best seeds, "
        f"up to {_size(found.working_bytes)} more in work_dir while cells run",
        *(f"note            {note}" for note in found.notes),
    ]
    return "\n".join(lines)


def _hours(hours: float) -> str:
    return f"{hours:.2g}" if hours < 10 else f"{hours:.0f}"


def _few_shot_text(grid: Grid) -> str:
    numbers = ", ".join(str(number) for number in grid.few_shot_sentences if number)
    how = {ADDED: "added to the source's", AFTER: "after the source's"}[grid.few_shot_mode]
    return f"{numbers} sentences of {', '.join(grid.few_shot_languages)}, {how}, and alone"


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"
