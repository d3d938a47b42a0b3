"""What a study would do and cost, before anything runs: nothing is downloaded or written, and but a few steps made."""

import heapq
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedConfig, XLMRobertaConfig

from nertransfer.core import schema
from nertransfer.core.config import StudyConfig
from nertransfer.core.errors import InputError
from nertransfer.core.grid import ADDED, AFTER, Configuration, FewShot, languages_of
from nertransfer.core.options import PLANTED, RECIPES
from nertransfer.core.text import aligned, duration
from nertransfer.corpora import corpus as corpora_of
from nertransfer.corpora.corpus import Corpus
from nertransfer.encoders import device, start_files, starts
from nertransfer.encoders.tokenization import encode
from nertransfer.studies import speed, workload
from nertransfer.studies.executors import local
from nertransfer.studies.planning import Grid, cell_of, lay_out
from nertransfer.tracking.addresses import public_uri
from nertransfer.tracking.runs import cell_runs, finished_cells, says_what_it_is
from nertransfer.tracking.store import Run, Study
from nertransfer.training import planted_starts
from nertransfer.training.cell import few_shot_fits, recipe_digest

PUBLISHED_MINUTES = (10, 30)
"""Of one fine-tuning by the published recipe on one RTX 3090 (Beukman and Fokam 2023)."""
BASE_BYTES = 1_112_000_000
"""Weights of xlm-roberta-base: 278 million parameters of four bytes."""
CHECKPOINT_FACTOR = 3
"""A checkpoint holds weights and both moments of AdamW."""
CELL_SECONDS, BYTE_SECONDS = 1.0, 4e-9
"""What a cell takes beside training and scoring: for claims and tracking, and to load and save a byte of weights."""
SAMPLED = 400
"""So many sentences say how long sentences are in sub-tokens."""
SLOW_SECONDS = 3600.0
"""A study on a processor that takes longer is told what would be quicker."""
ON_SLURM = "the nodes of Slurm, not this machine"


@dataclass(frozen=True)
class Forecast:
    """``done``: seeds that are finished by configuration. ``seconds``: shortest and longest estimate of the
    wall time of what is missing; None where nothing is known. ``basis``: what the estimate rests on, in words.
    ``device``: what cells run on. Sizes in bytes: what stays in the artifact store, and what is on disk at most while
    cells run.
    ``notes``: what could not be known here."""

    grid: Grid
    done: Mapping[Configuration, list[int]]
    at_once: int
    seconds: tuple[float, float] | None
    basis: str
    device: str
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
        corpora = corpora_of.load(replace(config.data, languages=grid.languages))
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
    seats = _seats(config)
    sizes = {name: _bytes(start) for name, start in resolved.items()}
    missing = {one: [s for s in grid.seeds if s not in done.get(one, [])] for one in grid.configurations}
    seconds, basis = _seconds(_Missing(config, grid, missing, corpora, resolved, sizes, seats), runs)
    if unmade := [name for name, size in sizes.items() if not size]:
        notes.append(f"start {', '.join(unmade)} has not been made yet: its size is unknown and not included")
    on = device.name(config.run.device) if config.executor == "local" else ON_SLURM
    notes += _about_the_device(config, seconds)
    kept = len(grid.seeds) if config.keep_weights else 1
    largest = max(sizes.values())
    return Forecast(
        grid, done, len(seats), seconds, basis, on, sum(sizes[start] for start, _ in grid.pairs),
        len(seats) * largest * (1 + CHECKPOINT_FACTOR) + (kept - 1) * sum(sizes[start] for start, _ in grid.pairs),
        notes,
    )  # fmt: skip


def _about_the_device(config: StudyConfig, seconds: tuple[float, float] | None) -> list[str]:
    """Why a GPU is not used, and what a study does without one."""
    if config.executor != "local" or device.gpus(config.run.device):
        return []
    trouble = device.trouble(config.run.device)
    if seconds is not None and seconds[1] < SLOW_SECONDS:
        return [trouble] if trouble else []
    advice = (
        "there is no GPU here, and a processor takes hours for a cell of a start like xlm-roberta-base: fewer epochs, "
        "seeds or sources take less in proportion, and executor=slurm has a cluster's GPUs do it"
    )
    return [trouble or advice]


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
        except InputError as error:
            if not starts.is_absent(error):
                raise
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


def _seats(config: StudyConfig) -> list[local.Seat]:
    """What cells have at the same time; of Slurm's tasks only how many there are."""
    if config.executor != "local":
        return [local.Seat((), config.slurm.slurm_cpus)] * config.slurm.slurm_parallel
    gpus = device.gpus(config.run.device)
    return local.seats(config.workers, config.num_processes, gpus, torch.get_num_threads())


@dataclass(frozen=True)
class _Missing:
    """What is to be estimated: ``seeds`` by configuration; ``sizes``: of the starts, in bytes."""

    config: StudyConfig
    grid: Grid
    seeds: Mapping[Configuration, Sequence[int]]
    corpora: Mapping[str, Corpus] | None
    resolved: Mapping[str, starts.Start]
    sizes: Mapping[str, int]
    seats: Sequence[local.Seat]

    @property
    def number(self) -> int:
        return sum(map(len, self.seeds.values()))

    def wall(self, cells: Mapping[Configuration, float]) -> float:
        """Seconds until all are done, each given to whoever is free first; ``cells``: seconds of one."""
        free = [0.0] * len(self.seats)
        for one, seeds in self.seeds.items():
            for _ in seeds:
                heapq.heapreplace(free, free[0] + cells[one])
        return max(free)


def _seconds(missing: _Missing, runs: Sequence[Run]) -> tuple[tuple[float, float] | None, str]:
    """Wall time of the missing cells, at best and at worst, and what that rests on."""
    if not missing.number:
        return (0.0, 0.0), "nothing is missing"
    config = missing.config
    known = [
        run
        for run in runs
        if run.data.tags.get(schema.RECIPE_DIGEST) == recipe_digest(config.recipe)
        and schema.FEW_SHOT_LANGUAGE not in run.data.tags
        and schema.IMPORTED not in run.data.tags  # how long those took is not known
        and says_what_it_is(run)
        and (config.executor != "local" or _ran_on_such_a_device(run, config))
    ]
    if known:
        return _as_before(missing, known)
    why = "as the nodes are not this machine"
    if config.executor == "local":
        try:
            return _measured(missing)
        except (RuntimeError, InputError) as error:
            why = f"as nothing could be measured here: {error}"
    if config.recipe == RECIPES["published"] and (config.executor != "local" or device.gpus(config.run.device)):
        cells = [missing.wall(dict.fromkeys(missing.seeds, 60.0 * minutes)) for minutes in PUBLISHED_MINUTES]
        low, high = PUBLISHED_MINUTES
        return (cells[0], cells[1]), f"{low} to {high} min a cell on an RTX 3090 as published, {why}"
    return None, f"unknown until the first cell of this recipe finishes, {why}"


def _ran_on_such_a_device(run: Run, config: StudyConfig) -> bool:
    kind = run.data.tags.get(schema.DEVICE)
    return kind is None or (kind == "cpu") == (not device.gpus(config.run.device))


def _as_before(missing: _Missing, known: Sequence[Run]) -> tuple[tuple[float, float], str]:
    """By the seconds that finished cells took for each word of their sources."""
    took = [run.data.metrics["train_seconds"] + run.data.metrics["score_seconds"] for run in known]
    languages = {name for run in known for name in languages_of(run.data.tags[schema.SOURCE])}
    each = dict.fromkeys(missing.seeds, sum(took) / len(took))
    if missing.corpora is not None and languages <= set(missing.corpora):
        rate = sum(took) / sum(_words(missing.corpora, run.data.tags[schema.SOURCE], None) for run in known)
        each = {one: rate * _words(missing.corpora, one[1], one[2]) for one in missing.seeds}
    wall = missing.wall(each)
    mean = sum(each[one] * len(seeds) for one, seeds in missing.seeds.items()) / missing.number
    return (wall, wall), f"{duration(mean)} a cell, as the {len(known)} finished ones of this recipe"


def _measured(missing: _Missing) -> tuple[tuple[float, float], str]:
    """By a few steps on this device, for every kind of start. Raises RuntimeError where nothing can be measured."""
    config, recipe = missing.config, missing.config.recipe
    size_of = workload.sizes(config.data.data, missing.corpora)
    if size_of is None:
        raise RuntimeError("the sizes of the corpora are not known")
    kinds: dict[str, list[str]] = {}
    configurations, assumed = {}, []
    for name in dict.fromkeys(one[0] for one, seeds in missing.seeds.items() if seeds):
        configurations[name], is_known = _configuration(missing.resolved[name])
        if not is_known:
            assumed.append(name)
        kinds.setdefault(_shape(configurations[name], recipe.weight_decay == 0), []).append(name)
    speeds: dict[str, speed.Speed] = {}
    per_words: dict[str, float] = {}
    for names in kinds.values():
        lengths, per_word = _lengths(missing, names[0])
        asked = speed.Asked(
            configurations[names[0]], lengths, per_word, recipe, config.run, missing.seats[0].threads
        )  # fmt: skip
        found = speed.measured(asked, 1 / len(kinds))
        speeds |= dict.fromkeys(names, found)
        per_words |= dict.fromkeys(names, per_word)
    share = config.num_processes if device.gpus(config.run.device) else 1  # threads are shared as they are anyway
    each = {}
    for one, seeds in missing.seeds.items():
        if not seeds:
            continue
        start, source, few = one
        work = workload.of_cell(source, few, missing.grid.targets, size_of, per_words[start], recipe, config.run)
        pace = speeds[start]
        seconds = pace.step * work.steps + pace.trained * work.trained + pace.scored * work.scored
        each[one] = CELL_SECONDS + BYTE_SECONDS * missing.sizes[start] + seconds / share
    mean = sum(each[one] * len(missing.seeds[one]) for one in each) / missing.number
    what = "random weights of the starts' sizes"
    if assumed:
        what = f"random weights, those of {', '.join(assumed)} of xlm-roberta-base's size"
    basis = f"{duration(mean)} a cell, by a few steps on this device with {what}"
    if missing.corpora is None:
        basis += f", and the mean size of the corpora of {config.data.data}"
    wall = missing.wall(each)
    return (wall, wall), basis


def _configuration(start: starts.Start) -> tuple[PreTrainedConfig, bool]:
    """The start's own configuration where it is at hand or to be made, else that of xlm-roberta-base, and False."""
    try:
        return starts.load_configuration(start, local_only=True), True
    except InputError:
        if _is_unmade(start):
            return planted_starts.configuration(), True
        return XLMRobertaConfig(vocab_size=250_002, max_position_embeddings=514, type_vocab_size=1), False


def _shape(config: PreTrainedConfig, trims: bool) -> str:
    """Equal for starts whose steps take equally long. ``trims``: of the vocabulary only what occurs is trained."""
    names = {"_name_or_path", "transformers_version", "id2label", "label2id", "architectures", "dtype"}
    names |= {"vocab_size"} if trims else set()
    return json.dumps({k: v for k, v in config.to_dict().items() if k not in names}, sort_keys=True, default=str)


def _lengths(missing: _Missing, start: str) -> tuple[list[int], float]:
    """Lengths of some sentences of the sources in sub-tokens, and sub-tokens of a word."""
    data, longest = missing.config.data.data, missing.config.recipe.max_length
    per_word = workload.PER_WORD.get(data, workload.USUAL_PER_WORD)
    if missing.corpora is None:
        typical = workload.TYPICAL[data]["train"]
        words = [typical.words / typical.sentences * share for share in (0.5, 0.8, 1.0, 1.2, 1.5)]
    else:
        names = dict.fromkeys(name for _, source, _ in missing.seeds for name in languages_of(source))
        pool_of = [sentence.words for name in names for sentence in missing.corpora[name].train.sentences]
        sample = pool_of[:: max(1, len(pool_of) // SAMPLED)]
        try:
            tokenizer = starts.load_tokenizer(missing.resolved[start], local_only=True)
            found = [len(window.ids) for window in encode(sample, tokenizer, longest).windows]
        except InputError:
            pass
        else:
            per_word = (sum(found) - workload.SPECIAL * len(found)) / sum(map(len, sample))
            return found, per_word
        words = [float(len(sentence)) for sentence in sample]
    return [min(longest, round(number * per_word) + workload.SPECIAL) for number in words], per_word


def _words(corpora: Mapping[str, Corpus], source: str, few: FewShot | None) -> float:
    """Words that a cell is fine-tuned on in an epoch; of a second training, the first stage's are another cell's."""
    words = 0.0
    if workload.trains_on_source(few):
        words += sum(corpora[name].train.number_of_words for name in languages_of(source))
    if few is not None:
        train = corpora[few.language].train
        words += few.sentences * train.number_of_words / len(train.sentences)
    return words


def _bytes(start: starts.Start) -> int:
    """Size of a start's weights; that of xlm-roberta-base where it is not on this machine."""
    try:
        return start_files.size(start_files.locate(start.location, start.revision, local_only=True))
    except ValueError:
        return 0 if _is_unmade(start) else BASE_BYTES


def _is_unmade(start: starts.Start) -> bool:
    """Whether it is a planted start that is not made yet: a folder, and no hub id."""
    folder = Path(start.location)
    return not folder.is_dir() and (folder.is_absolute() or len(folder.parts) > 2)


def text(found: Forecast, name: str, uri: str) -> str:
    """The forecast for people: axes, a line for every configuration, totals."""
    grid = found.grid
    pivots = f"; on {', '.join(grid.pivots)} every own start" if grid.pivots else ""
    lines = [
        f"study {name} on {public_uri(uri)}; cells run on {found.device}",
        f"  starts   {', '.join(grid.starts)}{pivots}",
        f"  sources  {', '.join(grid.sources)}",
        f"  targets  {', '.join(grid.targets)}",
        f"  seeds    {', '.join(map(str, grid.seeds))}",
        *([f"  besides  {_few_shot_text(grid)}"] if grid.few_shot_languages else []),
        "",
    ]
    names = {one: one[2].with_source(one[1]) if one[2] else one[1] for one in grid.configurations}
    done = {one: len(found.done.get(one, [])) for one in names}
    rows = [[one[0], name, str(done[one]), str(len(grid.seeds) - done[one])] for one, name in names.items()]
    lines.append(aligned([["start", "source", "done", "missing"], *rows], left=(0, 1)))
    if found.seconds is None or not found.seconds[1]:
        time = found.basis
    else:
        time = f"about {_span(*found.seconds)} with {found.at_once} at a time ({found.basis})"
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


def _span(low: float, high: float) -> str:
    unit, name = (3600, "h") if high >= 3600 else (60, "min")
    shown = [f"{seconds / unit:.2g}" if seconds < 10 * unit else f"{seconds / unit:.0f}" for seconds in (low, high)]
    return f"{' to '.join(dict.fromkeys(shown))} {name}"


def _few_shot_text(grid: Grid) -> str:
    numbers = ", ".join(str(number) for number in grid.few_shot_sentences if number)
    how = {ADDED: "added to the source's", AFTER: "after the source's"}[grid.few_shot_mode]
    return f"{numbers} sentences of {', '.join(grid.few_shot_languages)}, {how}, and alone"


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"
