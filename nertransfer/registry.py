"""Picks the best seed of every (start, source), stores its weights and registers it.

Registered model ``ner-<source>``: one version per (start, best seed); alias ``from-<start>`` on
each start's best, ``champion`` on the best of all. The choice is by source F1 on the dev split
unless the test split is asked for by name, and every version says which was used. Its description
is its model card, its tags say what it was made from. An alias moves only between versions that
can be compared, or when told to (`register`), and says why.
"""

import dataclasses
import functools
import json
import logging
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import mlflow
import transformers
from filelock import FileLock, Timeout
from mlflow.entities import LoggedModel, LoggedModelStatus, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS
from tqdm import tqdm

from nertransfer import card_facts, champion_history, model_card, packaging, schema, starts
from nertransfer.cell import Cell, recipe_digest
from nertransfer.claims import Heart, Owner, held
from nertransfer.corpus import Corpus
from nertransfer.current import Place, current_cells, last_asked
from nertransfer.errors import InputError
from nertransfer.fluent import fluent
from nertransfer.folders import make_folder
from nertransfer.grid import languages_of
from nertransfer.lineage import CORPUS, PIN, Lineage, differences, lineage
from nertransfer.progress import progress_bar
from nertransfer.store import MlflowClient, Study, all_models, all_versions, impatient, open_study, patiently
from nertransfer.tracking import cell_runs, kind_runs, logged_model, says_what_it_is

logger = logging.getLogger("nertransfer")

AGGREGATION = "first"
"""How transformers' pipeline merges sub-tokens: a word has the label of its first one, as in training."""

NOT_STORED = "its weights are not stored (only those of the best seeds are)"
REQUIREMENTS = ("mlflow", "torch", "transformers", "accelerate", "safetensors", "pandas")


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
    wanted = _lineage(max(by_seed.values(), key=last_asked)).made_from
    alike = {seed: run for seed, run in by_seed.items() if _lineage(run).made_from == wanted}
    return alike, tuple(by_seed[seed] for seed in sorted(by_seed.keys() - alike.keys()))


def _lineage(run: Run, study: str = "") -> Lineage:
    return lineage(run.data.tags, run.data.params, study)


@dataclass(frozen=True)
class Change:
    """One thing that registering did, or (``held``) did not do without being told to, in words for people."""

    model: str
    text: str
    held: bool = False


def finished_places(study: Study) -> dict[Place, Run]:
    """The finished run that counts for every (start, source, seed) of the study.

    None with sentences of a target, and none that was imported: of those there are no weights.
    """
    return current_cells(_trained(cell_runs(study, "FINISHED")), kind_runs(study, schema.KIND_STUDY))


def _trained(runs: Iterable[Run]) -> list[Run]:
    """Those that were fine-tuned here rather than imported, and say what they are."""
    return [run for run in runs if schema.IMPORTED not in run.data.tags and says_what_it_is(run)]


def few_shot_runs(study: Study) -> list[Run]:
    """The finished cells with a few sentences of a target; none of them is registered."""
    return [run for run in _trained(cell_runs(study, "FINISHED")) if schema.FEW_SHOT_LANGUAGE in run.data.tags]


def store_best(study: Study, cell: Cell, seeds: Sequence[int], work_dir: Path, selection_split: str) -> None:
    """Store the weights of the best seed of a cell's start and source, for `register` to find them stored.

    Nothing is stored before all ``seeds`` have finished. Not needed, but it takes its time while other cells are
    fine-tuned rather than at the end.
    """
    rivals = current_cells(_rivals(study, cell), [])
    if not set(seeds) <= {seed for _, _, seed in rivals}:
        return
    for choice in choose(rivals, selection_split):
        if weights_folder(work_dir, choice.key).is_dir() and not _is_stored(study, choice.run):
            _store_weights(study, choice, work_dir)


def _rivals(study: Study, cell: Cell) -> list[Run]:
    """The finished seeds of the cell's start and source, same weights, corpus and recipe."""
    wanted = {
        schema.START: cell.start.name,
        schema.SOURCE: cell.source,
        schema.START_FINGERPRINT: cell.identity.fingerprint,
        schema.RECIPE_DIGEST: recipe_digest(cell.recipe),
        schema.TRAIN_DIGEST: cell.corpus_digests[0],
    }
    condition = "".join(f" and tags.{name} = '{value}'" for name, value in wanted.items())
    return _trained(cell_runs(study, "FINISHED", condition))


def _is_stored(study: Study, run: Run) -> bool:
    """Whether the artifact store has a cell's weights; a model whose upload was cut short is still pending."""
    model = _model_of(study, run)
    if model is None or model.status != LoggedModelStatus.READY:
        return False
    return any(one.path == "MLmodel" for one in study.client.list_logged_model_artifacts(model.model_id))


def _model_of(study: Study, run: Run) -> LoggedModel | None:
    """The LoggedModel of a cell's run; None of a cell that was imported, and where it was deleted."""
    model_id = run.data.tags.get(schema.MODEL_URI)
    try:
        return study.client.get_logged_model(model_id) if model_id else None
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def has_weights(study: Study, run: Run, work_dir: Path) -> bool:
    """Whether the weights of a finished cell are at hand: in the artifact store, or still in ``work_dir``."""
    return weights_folder(work_dir, run.data.tags[schema.CELL_KEY]).is_dir() or _is_stored(study, run)


def without_weights(study: Study, cells: Mapping[Place, Run], work_dir: Path, selection_split: str) -> list[Choice]:
    """The chosen seeds whose weights are neither registered nor in ``work_dir``."""
    choices = choose(cells, selection_split)
    existing = {source: all_versions(study.client, schema.model_name(source)) for source in {c.source for c in choices}}
    return [
        choice
        for choice in choices
        if _version_of(choice, existing[choice.source]) is None and not has_weights(study, choice.run, work_dir)
    ]


def nowhere(choices: Sequence[Choice], work_dir: Path) -> str:
    """In words for people: the weights of these are gone, and how to make them again."""
    listed = ", ".join(f"{c.run.info.run_name} ({weights_folder(work_dir, c.key)})" for c in choices)
    return (
        f"weights of the best seed are neither registered nor in work_dir: {listed}; "
        "the study entry point with the same parameters trains them again"
    )


def register(
    study: Study,
    cells: Mapping[Place, Run],
    work_dir: Path,
    selection_split: str = "dev",
    replace: Collection[str] = (),
    corpora: Mapping[str, Corpus] | None = None,
) -> list[Change]:
    """Bring the registry in line with finished cells (`finished_places`); returns what changed, and what was held.

    Weights are taken from ``work_dir``, where the cells left them, and stored only for chosen seeds. A second call
    changes nothing; of several processes one at a time changes a registered model. Raises InputError, before anything
    is changed, when chosen weights are nowhere.

    An alias stays where it is when its version belongs to another study, was made with another recipe, from another
    corpus or from other weights of the start, or is a pinned champion, unless that reason (one of
    `lineage.REPLACE_ALL`) is in ``replace``. Seeds and starts that were made from another corpus than the newest are
    not compared with it. ``corpora`` tell the cards which entities are new to a model.
    """
    choices = choose(cells, selection_split)
    if not choices:
        raise InputError(f"study {study.name!r} has no finished cell to register, imported ones left aside")
    missing = without_weights(study, cells, work_dir, selection_split)
    if missing:
        raise InputError(nowhere(missing, work_dir))
    changes: list[Change] = []
    by_source = {choice.source: [c for c in choices if c.source == choice.source] for choice in choices}
    with progress_bar(len(choices), "registering", "model") as bar:
        for source, of_source in by_source.items():
            with sole(study.client, schema.model_name(source)):
                changes += _register_source(study, cells, of_source, work_dir, frozenset(replace), corpora, bar)
    return changes


@contextmanager
def sole(client: MlflowClient, name: str) -> Iterator[None]:
    """While the block lasts nobody else changes this registered model, from whichever study; waits for who does."""
    common = open_study(client, schema.REGISTRY_EXPERIMENT)
    claimed = held(common, schema.stored(name), f"changes {name}")
    with claimed, Heart(common, Owner.this_process()):
        yield


def _register_source(
    study: Study,
    cells: Mapping[Place, Run],
    choices: Sequence[Choice],
    work_dir: Path,
    replace: frozenset[str],
    corpora: Mapping[str, Corpus] | None,
    bar: tqdm,
) -> list[Change]:
    """`register` for the starts of one source, while nobody else changes its registered model."""
    name = schema.model_name(choices[0].source)
    existing = all_versions(study.client, name)
    changes: list[Change] = []
    versions: list[tuple[Choice, ModelVersion]] = []
    for choice in choices:
        changes += [Change(name, text, held=True) for text in _left_out(choice)]
        rivals = [cells[choice.start, choice.source, seed] for seed in choice.compared]
        version = _version_of(choice, existing)
        if version is None:
            version = _add_version(study, choice, work_dir)
            _describe(study, choice, version, rivals, corpora)
            changes.append(Change(name, f"version {version.version} is {_words(choice)}"))
        elif _describe(study, choice, version, rivals, corpora):
            changes.append(Change(name, f"version {version.version} now says: {_words(choice)}"))
        versions.append((choice, version))
        bar.update()
    alike, left_out = _on_newest_corpus(cells, versions)
    changes += [Change(name, text, held=True) for text in left_out]
    champion = min(alike, key=lambda cv: (-cv[0].f1, cv[0].start))
    wanted = {schema.start_alias(c.start): (c, v) for c, v in versions} | {schema.CHAMPION: champion}
    weights = {c.start: c.run.data.tags[schema.START_FINGERPRINT] for c, _ in versions}
    return changes + _move_aliases(study, name, wanted, weights, replace)


def _left_out(choice: Choice) -> list[str]:
    """Which seeds of a choice's start and source were not compared, and why."""
    new = _lineage(choice.run)
    by_reason: dict[str, list[str]] = {}
    for run in choice.apart:
        reasons = differences(_lineage(run), new, {choice.start: new.weights})
        by_reason.setdefault("; ".join(reasons.values()), []).append(run.data.tags[schema.SEED])
    return [
        f"seed{'s' * (len(seeds) > 1)} {', '.join(seeds)} of start {choice.start} not compared: {reason}"
        for reason, seeds in by_reason.items()
    ]


Versions = Sequence[tuple[Choice, ModelVersion]]


def _on_newest_corpus(cells: Mapping[Place, Run], versions: Versions) -> tuple[Versions, list[str]]:
    """Of the starts' best on one source those that were made from its newest corpus, and why the others were not."""
    source = versions[0][0].source
    new = _lineage(max((run for (_, name, _), run in cells.items() if name == source), key=last_asked))
    alike, left_out = [], []
    for one in versions:
        reason = differences(_lineage(one[0].run), new, {}).get(CORPUS)
        if reason is None:
            alike.append(one)
        else:
            left_out.append(f"start {one[0].start} not compared for the {schema.CHAMPION}: {reason}")
    return alike, left_out


def champions(study: Study, sources: Iterable[str]) -> dict[str, str]:
    """The run of the champion of every registered model of these sources, if it has one, by the model's name."""
    found = {}
    for name in map(schema.model_name, sources):
        try:
            found[name] = study.client.get_model_version_by_alias(name, schema.CHAMPION).run_id or ""
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    return found


def is_beaten(
    study: Study, cell: Cell, tags: Mapping[str, str], f1: float, work_dir: Path, selection_split: str
) -> bool:
    """Whether a finished seed that was made from the same as the cell, and whose weights are at hand, is chosen before
    it; no, where that cannot be looked up. ``tags``: those of the cell's run; ``f1``: the cell's on the selection
    split."""
    made_from = lineage(tags, {}, "").made_from
    study = dataclasses.replace(study, client=impatient(study.client))  # what the cell measured is not on disk yet
    try:
        others = [
            run
            for run in _rivals(study, cell)
            if run.data.tags[schema.SEED] != str(cell.seed) and _lineage(run).made_from == made_from
        ]
        return any(
            _first_is_best(choice.f1, choice.seed) < _first_is_best(f1, cell.seed)
            and has_weights(study, choice.run, work_dir)
            for choice in choose(current_cells(others, []), selection_split)
        )
    except Exception as error:  # whatever it is: it costs a save, and no work
        logger.warning("other seeds than that of %s cannot be looked up: %s", cell.name, error)
        return False


def discard_beaten(study: Study, cell: Cell, work_dir: Path, selection_split: str) -> None:
    """Delete the local weights of every finished seed of the cell's start and source but the best so far whose weights
    are at hand.

    Weights that another cell goes on from at this moment stay, for `tidy`, and so do all where the seeds cannot be
    looked up: the cell has finished.
    """
    try:
        rivals = _rivals(study, cell)
        at_hand = [run for run in rivals if has_weights(study, run, work_dir)]
        kept = {choice.key for choice in choose(current_cells(at_hand, []), selection_split)}
    except (InputError, MlflowException) as error:
        logger.warning("weights of seeds beside that of %s stay for now: %s", cell.name, error)
        return
    for key in {run.data.tags[schema.CELL_KEY] for run in rivals} - kept:
        # its own lock this process may hold already
        with suppress(Timeout), nullcontext() if key == cell.key else cell_lock(work_dir, key, timeout=0):
            shutil.rmtree(weights_folder(work_dir, key), ignore_errors=True)


def tidy(work_dir: Path, runs: Iterable[Run], keep_weights: bool) -> None:
    """Delete what finished cells have left in ``work_dir``: weights, and what a kill just before the end left over.

    The best of their seeds are in the artifact store by now. Folders that another process works in are left alone.
    """
    for run in runs:
        key = run.data.tags[schema.CELL_KEY]
        try:
            with cell_lock(work_dir, key, timeout=0):
                for path in cell_folder(work_dir, key).glob("*"):
                    if path != weights_folder(work_dir, key):
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                if not keep_weights:
                    shutil.rmtree(cell_folder(work_dir, key), ignore_errors=True)
        except (Timeout, FileNotFoundError):  # another study that shares the folder is at work in it, or tidies too
            continue


def cell_lock(work_dir: Path, key: str, timeout: float = -1) -> FileLock:
    """The right to work in a cell's folder: two studies may have a cell in common, and one ``work_dir``."""
    path = cell_folder(work_dir, key).with_suffix(".lock")
    make_folder(path.parent, "work_dir")
    return FileLock(path, timeout)


def cell_folder(work_dir: Path, key: str) -> Path:
    """Where a cell keeps its checkpoint and, until they are registered, its weights."""
    return work_dir / "cells" / key


def weights_folder(work_dir: Path, key: str) -> Path:
    return cell_folder(work_dir, key) / "model"


def _version_of(choice: Choice, existing: Sequence[ModelVersion]) -> ModelVersion | None:
    """The newest version made of this very cell, by key and name of the start, whatever its run."""
    # where a start was renamed its cells have the same keys: one version cannot tell of both names
    named = [v for v in existing if v.tags.get(schema.START, choice.start) == choice.start]
    versions = [v for v in named if v.tags.get(schema.CELL_KEY) == choice.key]
    return max(versions, key=lambda v: int(v.version), default=None)


def _words(choice: Choice) -> str:
    seeds = f"best of {len(choice.compared)} seeds" if len(choice.compared) > 1 else "the only seed"
    score = f"{choice.selection_split} F1 {100 * choice.f1:.2f} %"
    return f"{choice.run.info.run_name}: {score}, {seeds} of start {choice.start}"


def _add_version(study: Study, choice: Choice, work_dir: Path) -> ModelVersion:
    client, name = study.client, schema.model_name(choice.source)
    languages = " and ".join(languages_of(choice.source))
    if not _is_stored(study, choice.run):
        _store_weights(study, choice, work_dir)
    model_id = choice.run.data.tags[schema.MODEL_URI]
    try:
        client.create_registered_model(
            name, description=f"Named entity recognition, fine-tuned on {languages}. One version per start: "
            f"its best seed. `{schema.CHAMPION}` is the best of all starts."
        )  # fmt: skip
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = _version_tags(study, choice, [])
    with fluent(study.uri):  # the client looks the model up at the global address
        made = client.create_model_version(
            name, source=f"models:/{model_id}", run_id=choice.run.info.run_id, tags=tags,
            model_id=model_id, description=f"{_words(choice)}.",
        )  # fmt: skip
    _link(client, model_id, made)
    return made


def _link(client: MlflowClient, model_id: str, made: ModelVersion) -> None:
    """Tell the LoggedModel its version, for MLflow's pages of models; a server does so itself, a database does not."""
    own = {"name": made.name, "version": str(made.version)}
    known = json.loads(client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    if own not in [one | {"version": str(one["version"])} for one in known]:
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*known, own])})


def _version_tags(study: Study, choice: Choice, targets: Sequence[str]) -> dict[str, str]:
    """How a version was chosen, its scores and what it was made from; with ``targets``, also what its card tells."""
    metrics, run_tags = choice.run.data.metrics, choice.run.data.tags
    tags = _lineage(choice.run, study.name).tags | {
        schema.SEED: run_tags[schema.SEED],
        schema.CELL_KEY: choice.key,
        schema.SEEDS_COMPARED: ",".join(map(str, choice.compared)),
        schema.SELECTION_SPLIT: choice.selection_split,
    }
    for split in schema.SCORED_SPLITS:
        f1 = metrics.get(schema.ScoreName(split, schema.F1, choice.source).key)
        if f1 is not None:
            tags[f1_tag(split)] = repr(f1)
    return tags | ({schema.TARGETS: ",".join(targets), schema.CARD_FORMAT: model_card.FORMAT} if targets else {})


def f1_tag(split: str) -> str:
    """The tag of a version that holds its source F1 on a split, as a fraction at full precision."""
    return f"{split}_f1"


def _describe(
    study: Study,
    choice: Choice,
    version: ModelVersion,
    rivals: Sequence[Run],
    corpora: Mapping[str, Corpus] | None,
) -> bool:
    """Write the card of a study's version, and its tags, where what they say has changed; returns whether it had.

    The tag of the card's format comes last: a version without it was cut short, and is written again.
    """
    wanted = _version_tags(study, choice, card_facts.targets(choice.run))
    known = version.tags
    if known.get(schema.STUDY, study.name) != study.name:
        return False  # the same cell, first registered by another study: the card tells of that one's seeds
    changed = {key: value for key, value in wanted.items() if known.get(key) != value}
    if not changed:
        return False
    card = card_facts.collect(study, choice.run, rivals, choice.selection_split, corpora)
    text = model_card.readme(card, model_card.registry_snippet(card, version.version))
    study.client.log_text(choice.run.info.run_id, text, f"{schema.MODEL_CARD_FOLDER}/{schema.MODEL_CARD_FILE}")
    study.client.update_model_version(version.name, str(version.version), model_card.description(card, version.version))
    for key in sorted(changed, key=lambda key: key == schema.CARD_FORMAT):
        study.client.set_model_version_tag(version.name, str(version.version), key, changed[key])
        known[key] = changed[key]
    return True


def _store_weights(study: Study, choice: Choice, work_dir: Path) -> None:
    """Put the weights under the cell's LoggedModel, made anew where it was deleted; both its flavors return entity
    spans."""
    model, tokenizer, _ = starts.load_tagger(starts.Start("weights", str(weights_folder(work_dir, choice.key))))
    pipeline = transformers.pipeline(
        "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy=AGGREGATION
    )
    tags, name = choice.run.data.tags, f"{choice.start}-{choice.source}-s{choice.seed}"
    if _model_of(study, choice.run) is None:
        own = {key: value for key, value in tags.items() if not key.startswith("mlflow.")}
        tags[schema.MODEL_URI] = logged_model(study, choice.run.info.run_id, name, own, fresh=False)
        study.client.set_tag(choice.run.info.run_id, schema.MODEL_URI, tags[schema.MODEL_URI])
    with fluent(study.uri):
        patiently(lambda: packaging.log(pipeline, name, tags[schema.MODEL_URI], _requirements()))


@functools.cache
def _requirements() -> list[str]:
    return [f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS]


def _move_aliases(
    study: Study,
    name: str,
    wanted: Mapping[str, tuple[Choice, ModelVersion]],
    weights: Mapping[str, str],
    replace: frozenset[str],
) -> list[Change]:
    """Point every alias at the version that is wanted there, or say why it stays.

    ``weights``: fingerprints of the starts by name, as they are now.
    """
    model = study.client.get_registered_model(name)
    changes = []
    for alias, (choice, chosen) in wanted.items():
        before = model.aliases.get(alias)
        pin = model.tags.get(schema.CHAMPION_PINNED) if alias == schema.CHAMPION else None
        if pin and (PIN in replace or before is None):  # what it was pinned to has been deleted
            study.client.delete_registered_model_tag(name, schema.CHAMPION_PINNED)
            changes.append(Change(name, f"alias {alias} is no longer pinned ({pin})"))
        if before is None:
            move_alias(study, name, alias, chosen.version)
            changes.append(Change(name, f"alias {alias} points to version {chosen.version}: {_words(choice)}"))
        elif int(before) != int(chosen.version):
            old = study.client.get_model_version(name, str(before))
            new = _lineage(choice.run, study.name)
            reasons = differences(version_lineage(study, old), new, weights)
            held = ({PIN: f"it is pinned ({pin})"} if pin else {}) | reasons
            held = {reason: text for reason, text in held.items() if reason not in replace}
            if held:
                changes.append(Change(name, _staying(alias, old, choice, chosen, list(held.values())), held=True))
                continue
            why = "; ".join(reasons.values()) or _better(old, choice)
            move_alias(study, name, alias, chosen.version)
            moved = f"alias {alias} moved from version {before} to version {chosen.version}: {_words(choice)}"
            changes.append(Change(name, f"{moved}; {_score_before(old, choice)}; {why}"))
    return changes


def move_alias(study: Study, name: str, alias: str, version: int | str, back: bool = False) -> None:
    """Point an alias at a version; the champion's history is written first. ``back``: as a rollback."""
    if alias == schema.CHAMPION:
        model = study.client.get_registered_model(name)
        history = model.tags.get(schema.CHAMPION_HISTORY, "")
        if schema.CHAMPION in model.aliases:  # moved by hand, or before there was a history
            history = champion_history.appended(history, model.aliases[schema.CHAMPION])
        history = champion_history.appended(history, version, back)
        study.client.set_registered_model_tag(name, schema.CHAMPION_HISTORY, history)
    study.client.set_registered_model_alias(name, alias, str(version))


def version_lineage(study: Study, version: ModelVersion) -> Lineage:
    """What a version was made from, by its tags; older versions have but some of them, and their run the others."""
    if not version.run_id:
        return lineage(version.tags, {}, "")
    try:
        data = study.client.get_run(version.run_id).data
    except MlflowException:  # deleted for good
        return lineage(version.tags, {}, "")
    return lineage(data.tags | version.tags, data.params, "")


def _staying(alias: str, old: ModelVersion, choice: Choice, chosen: ModelVersion, reasons: Sequence[str]) -> str:
    return (
        f"alias {alias} stays at version {old.version}: {'; '.join(reasons)}. Best now is version "
        f"{chosen.version}: {_words(choice)}; {_score_before(old, choice)}. replace=true moves the alias"
    )


def _score_before(old: ModelVersion, choice: Choice) -> str:
    f1 = old.tags.get(f1_tag(choice.selection_split))
    known = f"{100 * float(f1):.2f} %" if f1 else "no score"
    return f"{choice.selection_split} F1 of version {old.version}: {known}"


def _better(old: ModelVersion, choice: Choice) -> str:
    """Why a choice is preferred to a version that it can be compared with."""
    split = old.tags.get(schema.SELECTION_SPLIT, choice.selection_split)
    if split != choice.selection_split:
        return f"chosen by {choice.selection_split} F1, no longer by {split} F1"
    f1 = float(old.tags.get(f1_tag(split), "nan"))
    if choice.f1 > f1:
        return "a higher score"
    if choice.f1 == f1:
        return "an equal score, and the first of equals by seed and start"
    return f"the cell of version {old.version} is no longer among those that count"


# --- weights of models that exist -------------------------------------------------------------


@contextmanager
def local_copy(model: str, study: Study, work_dir: Path) -> Iterator[starts.Start]:
    """A model as a start that can be loaded; what was downloaded is gone when the block ends.

    ``model``: ``runs:/<run id>`` of a cell, ``models:/<name>@<alias>`` (or ``/<version>``), or whatever
    `starts.resolve` takes. Raises InputError when it is not there; says which registered models there are.
    """
    if not model.startswith(("runs:/", "models:/")):
        yield starts.resolve(model)
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            start = _fetch(model, study, work_dir, Path(folder))
        except MlflowException as error:
            raise InputError(
                f"model={model!r} cannot be loaded: {str(error).splitlines()[0]}; "
                f"registered models: {', '.join(_registered(study)) or 'none yet'}"
            ) from error
        yield start


def origin(model: str, study: Study) -> tuple[Run, ModelVersion | None]:
    """The cell's run that a model was made by, and its version where it was named as one.

    ``model``: ``runs:/<run id>``, ``models:/<name>@<alias>`` or ``models:/<name>/<version>``. Raises InputError when
    there is no such thing, or it is not from a cell.
    """
    try:
        version = _version(model, study) if model.startswith("models:/") else None
        run_id = version.run_id if version else model.partition(":/")[2].strip("/")
        run = study.client.get_run(run_id) if run_id else None  # a version that was made by hand has none
    except MlflowException as error:
        raise InputError(
            f"model={model!r} is not there: {str(error).splitlines()[0]}; "
            f"registered models: {', '.join(_registered(study)) or 'none yet'}", "model",
        ) from error  # fmt: skip
    if run is None or schema.CELL_KEY not in run.data.tags:
        raise InputError(f"model={model!r} is not allowed: it was not made by a cell", "model")
    return run, version


def _version(model: str, study: Study) -> ModelVersion:
    name = model.removeprefix("models:/").strip("/")
    if "@" in name:
        return study.client.get_model_version_by_alias(*name.split("@", 1))
    return study.client.get_model_version(*name.partition("/")[::2])


def fixed(version: ModelVersion) -> str:
    """The address of a version that stays the same when an alias moves."""
    return f"models:/{version.name}/{version.version}"


def pinned(model: str, study: Study) -> str:
    """A registered model's address by version, also where it was given by alias; as it is where there is none."""
    try:
        return fixed(_version(model, study))
    except MlflowException:  # whoever loads it says what there is
        return model


def run_of(model: str, study: Study) -> Run | None:
    """The cell's run behind a model as `origin` takes it; None for any other model, and where the registry does not
    know. Raises InputError for a run that is not there or no cell."""
    if not model.startswith(("runs:/", "models:/")):
        return None
    try:
        return origin(model, study)[0]
    except InputError:
        if model.startswith("models:/"):  # whoever loads it says what there is
            return None
        raise


def _fetch(model: str, study: Study, work_dir: Path, folder: Path) -> starts.Start:
    name = model.partition(":/")[2].strip("/")
    if model.startswith("runs:/"):
        run = run_of(model, study)
        assert run is not None
        name, folder_of_cell = run.info.run_name, weights_folder(work_dir, run.data.tags[schema.CELL_KEY])
        if folder_of_cell.is_dir():
            return starts.Start(name, str(folder_of_cell))
        if schema.MODEL_URI not in run.data.tags:
            raise MlflowException(NOT_STORED)
        model = f"models:/{run.data.tags[schema.MODEL_URI]}"
    with fluent(study.uri):  # registered models are looked up at the global address, whatever tracking_uri says
        mlflow.artifacts.download_artifacts(artifact_uri=model, dst_path=str(folder), tracking_uri=study.uri)
    weights = folder / "model"
    if not (weights / "config.json").is_file():
        raise MlflowException(NOT_STORED)
    # MLflow keeps the tokenizer beside the model; transformers expects both in one folder
    shutil.copytree(folder / "components" / "tokenizer", weights, dirs_exist_ok=True)
    return starts.Start(starts.slug(name), str(weights))


def _registered(study: Study) -> list[str]:
    models = [study.client.get_registered_model(name) for name in all_models(study.client)]
    return [f"models:/{model.name}@{alias}" for model in models for alias in sorted(model.aliases)]
