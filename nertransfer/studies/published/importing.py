"""Published result files, or a table of scores -> a study in the tracking store: one run per cell, as if it had been
fine-tuned here."""

import csv
import hashlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set, Sized
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from nertransfer.core import grid, schema
from nertransfer.core.commandline import to_text
from nertransfer.core.config import ImportConfig
from nertransfer.core.console import progress_bar
from nertransfer.core.errors import InputError
from nertransfer.core.options import Recipe
from nertransfer.core.processes import cores, process_pool
from nertransfer.corpora import corpus as corpora_of
from nertransfer.corpora.corpus import Corpus
from nertransfer.corpora.languages import LANGUAGES
from nertransfer.scoring.measurements import Measurements, Point, milliseconds, unscored
from nertransfer.studies.published import files as published_files
from nertransfer.studies.published import scores, table
from nertransfer.studies.published.scores import DISAGREEMENT_COLUMNS, Disagreement, Files, Imported, name_of
from nertransfer.tracking import store_files
from nertransfer.tracking.current_cells import current_cells, place_of
from nertransfer.tracking.runs import (
    cell_runs,
    configuration_params,
    deliver,
    log,
    log_values,
    mark_as_asked,
    mark_dead_runs_killed,
    open_run,
)
from nertransfer.tracking.store import FINISHED, Run, Study, kind_runs
from nertransfer.training.cell import recipe_digest

logger = logging.getLogger("nertransfer")

DISAGREEMENTS = "disagreements"
"""Metric: how many reported values differ from those that the predictions give."""
WINDOW = 4
"""Cells that are measured ahead of the one that is being written, by process."""


@dataclass
class ImportOutcome:
    """What an import did: names of cells added and of those that were there, what was found odd."""

    added: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    unfit: list[published_files.Unfit] = field(default_factory=list)
    disagreements: list[Disagreement] = field(default_factory=list)


@dataclass(frozen=True)
class Reported:
    """A cell of which there are scores alone. ``file``: where they stand; ``measure`` gives them, or raises InputError;
    ``languages``: those it was fine-tuned and scored on, where their corpora are at hand."""

    cell: published_files.CellName
    file: str
    measure: Callable[[], Measurements]
    languages: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Results:
    """What a folder holds: the files of every cell and the corpora they were scored on; what does not fit.

    ``reported``: cells of which there are scores alone; they need no corpora. ``data``: what the corpora were asked for
    by. ``designed``: whether they may be of the published study, whose grid is then the plan.
    """

    unfit: tuple[published_files.Unfit, ...]
    cells: tuple[Files, ...] = ()
    corpora: Mapping[str, Corpus] = field(default_factory=dict)
    reported: tuple[Reported, ...] = ()
    data: str = ""
    designed: bool = True


def read(config: ImportConfig) -> Results:
    """The results in a folder, or in a table; writes nothing.

    Raises InputError when there is no complete result, when a language has no corpus, when there is none for
    predictions that are to be scored, and on anything in a table that does not fit.
    """
    root, data = Path(config.results), config.data.data
    if root.is_file():
        return _read_table(root, config)
    models = published_files.find_models(root)
    if models is not None:
        if not data:
            raise InputError("give data=<corpora>: published predictions are scored against them", "data")
        listing = published_files.scan(models)
        _check_some(root, listing.cells, listing.unfit)
        languages = {cell.source for cell in listing.cells} | {target for _, target in listing.targets}
        files = tuple(Files(cell, folder, _targets_of(cell, listing)) for cell, folder in listing.cells.items())
        return Results(tuple(listing.unfit), files, _corpora(config, languages), data=data)
    folder = published_files.find_baselines(root)
    if folder is None:
        raise published_files.nothing_found(root)
    baselines, unfit = published_files.scan_baselines(folder)
    _check_some(root, baselines, unfit)
    cells = tuple(
        Reported(
            published_files.CellName(name.language, name.model, name.number, 0),
            f"{path.parent.name}/{path.name}",
            partial(scores.measure_baseline, name, path),
        )
        for name, path in baselines.items()
    )
    return Results(tuple(unfit), reported=cells, data=data)


def _read_table(path: Path, config: ImportConfig) -> Results:
    found = table.parse(path)
    languages = {cell: table.languages(cell, rows) for cell, rows in found.cells.items()}
    corpora = {}
    if config.data.data:
        corpora = _corpora(config, frozenset().union(*languages.values()))
        table.check_support(found, corpora, path)
    cells = tuple(
        Reported(cell, path.name, partial(table.measure, cell, rows), languages[cell] if corpora else frozenset())
        for cell, rows in found.cells.items()
    )
    return Results(tuple(found.unfit), corpora=corpora, reported=cells, data=config.data.data, designed=False)


def _check_some(root: Path, found: Sized, unfit: Sequence[published_files.Unfit]) -> None:
    if not found:
        listed = "; ".join(f"{one.path!r}: {one.reason}" for one in unfit[:5])
        raise InputError(f"results={str(root)!r} has no complete result: {listed}", "results")


def import_results(results: Results, study: Study) -> ImportOutcome:
    """Bring what was read from a folder into the study; cells that are there already are left as they are."""
    store_files.check(study)
    outcome = ImportOutcome(unfit=list(results.unfit))
    mark_dead_runs_killed(study)
    cells = (_import_reported if results.reported else _import_cells)(results, study, outcome)
    targets = {target for files in results.cells for target in files.targets}
    _summarise(study, cells, targets, results, outcome)
    return outcome


def _import_cells(results: Results, study: Study, outcome: ImportOutcome) -> list[published_files.CellName]:
    """Score every cell anew and write it; returns all that are there, also those that cannot be read."""
    corpora, jobs = results.corpora, results.cells
    finished = cell_runs(study, "FINISHED")
    known = frozenset(run.data.tags.get(schema.CELL_KEY, "") for run in finished)
    splits = {(name, split): corpora[name].splits[split] for name in corpora for split in schema.SCORED_SPLITS}
    with _measured(jobs, splits, known) as measured, progress_bar(len(jobs), "importing", "cell") as bar:
        for files, found in zip(jobs, measured, strict=True):
            if isinstance(found, str):
                outcome.present.append(name_of(files.cell))
                _ask_for(study, found, finished)
            elif isinstance(found, InputError):
                outcome.unfit.append(published_files.Unfit(files.folder.name, str(found)))
                reason = f"the fine-tuning {files.cell.folder} cannot be read"
                outcome.unfit += [
                    published_files.Unfit(f"{published_files.ZERO_SHOT}/{folder.name}", reason)
                    for folder in files.targets.values()
                ]
            else:
                _deliver(study, found, results)
                outcome.added.append(name_of(files.cell))
            bar.update()
    return [files.cell for files in jobs]


def _ask_for(study: Study, key: str, finished: Sequence[Run]) -> None:
    """Have the run of these very files count, where another one of its place was imported since."""
    run = next(run for run in finished if run.data.tags.get(schema.CELL_KEY) == key)
    if any(place_of(other) == place_of(run) for other in finished if other is not run):
        mark_as_asked(study, [run])


def _corpora(config: ImportConfig, languages: Iterable[str]) -> dict[str, Corpus]:
    existing = corpora_of.names(config.data)
    missing = sorted(set(languages) - set(existing))
    if missing:
        raise InputError(
            f"data={config.data.data!r} has no corpus of {', '.join(missing)}, which the results were scored on; "
            f"it has {', '.join(existing)}", "data",
        )  # fmt: skip
    return corpora_of.load(replace(config.data, languages=tuple(name for name in existing if name in set(languages))))


def _targets_of(cell: published_files.CellName, listing: published_files.Listing) -> dict[str, Path]:
    return {target: folder for (name, target), folder in listing.targets.items() if name == cell}


@contextmanager
def _measured(
    jobs: Sequence[Files], splits: dict, known: frozenset[str]
) -> Iterator[Iterator[Imported | str | InputError]]:
    """The measurements of every job, in order, made in as many processes as there are cores."""
    processes = max(1, min(cores(), len(jobs)))
    pool = process_pool(processes, scores.begin, (splits, known))

    def ahead() -> Iterator[Imported | str | InputError]:
        waiting = []
        for job in jobs:
            waiting.append(pool.submit(scores.measure_one, job))
            if len(waiting) > WINDOW * processes:
                yield waiting.pop(0).result()
        for one in waiting:
            yield one.result()

    try:
        yield ahead()
    finally:
        pool.shutdown(cancel_futures=True)


def _deliver(study: Study, found: Imported, results: Results) -> None:
    cell, corpora = found.files.cell, results.corpora
    languages = {cell.source, *found.files.targets}
    tags = _tags(cell.start, cell.source, cell.seed, found.measured.key, found.start_location, _recipe(cell.epochs))
    tags |= _corpus_tags(cell, languages, corpora)
    if found.disagreements:
        rows = [tuple(asdict(one).values()) for one in found.disagreements]
        found.measured.files[schema.DISAGREEMENTS_FILE] = _csv(DISAGREEMENT_COLUMNS, rows)
    found.measured.points.append(Point(DISAGREEMENTS, len(found.disagreements), milliseconds()))
    found.measured.datasets.append(unscored(corpora[cell.source].train))
    _write(study, name_of(cell), tags, _recipe(cell.epochs), found.measured, results.data)


def _corpus_tags(
    cell: published_files.CellName, languages: Iterable[str], corpora: Mapping[str, Corpus]
) -> dict[str, str]:
    listed = sorted(languages)
    tags = schema.packed(schema.CORPUS_DIGESTS, {name: corpora[name].digest for name in listed})
    if cell.source in corpora:
        tags |= {schema.TRAIN_DIGEST: corpora[cell.source].train.digest}
    families = {name: LANGUAGES[name].family for name in listed if name in LANGUAGES}
    return tags | schema.packed(schema.FAMILIES, families)


def _write(
    study: Study, name: str, tags: dict[str, str], recipe: Recipe | None, measured: Measurements, data: str = ""
) -> None:
    own = {axis: tags[axis] for axis in (schema.START, schema.SOURCE, schema.SEED)}
    params = own | ({key: to_text(value) for key, value in asdict(recipe).items()} if recipe else {})
    with open_run(study, schema.KIND_CELL, name, tags) as run_id:
        log(study.client, run_id, params=configuration_params(params))
        deliver(study.client, run_id, measured, data=data)


def _recipe(epochs: int) -> Recipe:
    """The published recipe; the folders' names tell the epochs."""
    return Recipe(epochs=epochs)


def _tags(start: str, source: str, seed: int, key: str, location: str, recipe: Recipe | None) -> dict[str, str]:
    tags = {
        schema.START: start,
        schema.SOURCE: source,
        schema.SEED: str(seed),
        schema.CONFIGURATION: f"{start}-{source}",
        schema.CELL_KEY: key,
        schema.IMPORTED: "true",
    }
    if location:
        # weights cannot be seen: the same place of origin is the same start
        tags |= {schema.START_LOCATION: location, schema.START_FINGERPRINT: f"location {location}"}
    return tags | ({schema.RECIPE_DIGEST: recipe_digest(recipe)} if recipe else {})


# --- reported scores only ---------------------------------------------------------------------------


def _import_reported(results: Results, study: Study, outcome: ImportOutcome) -> list[published_files.CellName]:
    """Each cell by what was reported of it; returns all that are there, also those that cannot be read."""
    finished = cell_runs(study, "FINISHED")
    known = {run.data.tags.get(schema.CELL_KEY) for run in finished}
    with progress_bar(len(results.reported), "importing", "cell") as bar:
        for one in results.reported:
            bar.update()
            cell = one.cell
            try:
                measured = one.measure()
            except InputError as error:
                outcome.unfit.append(published_files.Unfit(one.file, str(error)))
                continue
            if measured.key in known:
                outcome.present.append(name_of(cell))
                _ask_for(study, measured.key, finished)
                continue
            tags = _tags(cell.start, cell.source, cell.seed, measured.key, "", None)
            tags |= _corpus_tags(cell, one.languages, results.corpora)
            _write(study, name_of(cell), tags, None, measured)
            outcome.added.append(name_of(cell))
    return [one.cell for one in results.reported]


# --- what was imported, as a run of the study ---------------------------------------------------------


def _summarise(
    study: Study, cells: Sequence[published_files.CellName], targets: Set[str], results: Results, outcome: ImportOutcome
) -> None:
    """A study run with the grid of all that was imported, and tables of what was odd; none where nothing has changed.

    ``cells`` and ``targets``: those of this import, whether they could be read or not.
    """
    finished = [run for run in cell_runs(study, "FINISHED") if schema.SYSTEM not in run.data.tags]
    current = current_cells(finished, [])
    runs = [run for run in current.values() if run.data.tags.get(schema.IMPORTED)]
    if not runs:  # nothing could be read: there is no study
        return
    places = {(cell.start, cell.source, cell.seed) for cell in cells}
    places |= {place for place, run in current.items() if run.data.tags.get(schema.IMPORTED)}
    scored = {name for run in runs for name in schema.unpacked(run.data.tags, schema.CORPUS_DIGESTS)}
    names = [schema.parse_score_key(key) for run in runs for key in run.data.metrics]
    scored |= {name.target for name in names if name is not None and not grid.is_several(name.target)}
    outcome.disagreements = [one for run in runs if run.data.metrics.get(DISAGREEMENTS) for one in _of_run(study, run)]
    tables = {
        schema.UNFIT_FILE: _csv(("path", "reason"), [(one.path, one.reason) for one in outcome.unfit]),
        schema.DISAGREEMENTS_FILE: _csv(
            DISAGREEMENT_COLUMNS, [tuple(asdict(one).values()) for one in outcome.disagreements]
        ),
    }
    sources = _ordered({source for _, source, _ in places})
    pairs = {(start, source) for start, source, _ in places}
    starts, pivots, designed = _axes(pairs, sources, results.designed)
    axes: dict[str, Sequence[object]] = {
        "starts": starts,
        "sources": sources,
        "pivots": pivots,
        "targets": _ordered(scored | targets | {source for _, source, _ in places}),
        "seeds": sorted({seed for *_, seed in places}),
    }
    params = {name: ",".join(map(str, values)) for name, values in axes.items()}
    tags = {} if designed else schema.packed(schema.PAIRS, _sources_by_start(pairs))
    about = (sorted(params.items()), sorted(tables.items()), *([sorted(tags.items())] if tags else []))
    digest = hashlib.sha256(repr(about).encode()).hexdigest()[:16]
    earlier = kind_runs(study, schema.KIND_STUDY, FINISHED)
    if earlier and earlier[-1].data.tags.get(schema.IMPORTED) == digest:
        return
    tags |= {schema.IMPORTED: digest}
    recipes = {run.data.tags.get(schema.RECIPE_DIGEST) for run in runs}
    if len(recipes) == 1 and (recipe := recipes.pop()) is not None:
        tags[schema.RECIPE_DIGEST] = recipe
    data = {"data": results.data} if results.data else {}
    with open_run(study, schema.KIND_STUDY, "import", tags) as run_id:
        log(study.client, run_id, params=configuration_params(params | data))
        log_values(study.client, run_id, {"unfit": len(outcome.unfit), DISAGREEMENTS: len(outcome.disagreements)})
        for name, text in tables.items():
            study.client.log_text(run_id, text, name)


def _ordered(languages: Iterable[str]) -> list[str]:
    """The languages in the published order, others behind."""
    there = set(languages)
    return [name for name in published_files.ORDER if name in there] + sorted(there - set(published_files.ORDER))


def _axes(pairs: Set[tuple[str, str]], sources: Sequence[str], designed: bool) -> tuple[list[str], list[str], bool]:
    """Starts with `grid.OWN`, pivots, and whether these tell all pairs of the plan.

    They do where a pair is of the published design, so that what is absent is missing; pairs beyond it are in no plan,
    but count. Of what is not ``designed``, and where none is, those pairs are the plan that there are; a pivot is then
    a source on which the starts of two other sources were fine-tuned.
    """
    pivots = [name for name in published_files.PIVOTS if name in sources]
    if designed and pairs & set(grid.pairs(published_files.STARTS, sources, pivots)):
        return list(published_files.STARTS), pivots, True
    starts = sorted({start for start, _ in pairs}, key=lambda name: (name != grid.BASE, name))
    own = {name: {start for start, source in pairs if source == name and start != name} for name in sources}
    return starts, [name for name in sources if len(own[name].intersection(sources)) > 1 and len(starts) > 2], False


def _sources_by_start(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The sources of every start, comma-separated."""
    found: dict[str, list[str]] = {}
    for start, source in sorted(pairs):
        found.setdefault(start, []).append(source)
    return {start: ",".join(sources) for start, sources in found.items()}


def _of_run(study: Study, run: Run) -> list[Disagreement]:
    with tempfile.TemporaryDirectory() as folder:
        path = study.client.download_artifacts(run.info.run_id, schema.DISAGREEMENTS_FILE, folder)
        rows = list(csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines()))
    return [
        Disagreement(
            **{name: text for name, text in row.items() if name not in ("reported", "rescored")},
            reported=_number(row["reported"]),
            rescored=_number(row["rescored"]),
        )
        for row in rows
    ]


def _number(text: str) -> float | None:
    return float(text) if text else None


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)  # minimal leaves "\r" bare
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()
