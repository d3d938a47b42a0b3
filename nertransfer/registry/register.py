"""Registers the best seed of every (start, source) as a version of its source's model.

Registered model ``ner-<source>``: one version per (start, best seed); alias ``from-<start>`` on
each start's best, ``champion`` on the best of all. The choice is by source F1 on the dev split
unless the test split is asked for by name, and every version says which was used. Its description
is its model card, its tags say what it was made from. An alias moves only between versions that
can be compared, or when told to (`register`), and says why.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS
from tqdm import tqdm

from nertransfer.core import schema
from nertransfer.core.console import progress_bar
from nertransfer.core.errors import InputError
from nertransfer.core.grid import Place, languages_of
from nertransfer.corpora.corpus import Corpus
from nertransfer.registry import card_facts, model_card
from nertransfer.registry import weights as cell_weights
from nertransfer.registry.aliases import Change, move_aliases
from nertransfer.registry.selection import CORPUS, Choice, choose, differences, lineage_of, not_compared
from nertransfer.tracking import store_files
from nertransfer.tracking.claims import Heart, Owner, held
from nertransfer.tracking.current_cells import last_asked
from nertransfer.tracking.global_state import fluent
from nertransfer.tracking.patience import is_away
from nertransfer.tracking.store import (
    MlflowClient,
    ModelVersion,
    Run,
    Study,
    all_models,
    all_versions,
    open_study,
    run_of_version,
)
from nertransfer.training.cell import weights_folder

logger = logging.getLogger("nertransfer")


def without_weights(study: Study, cells: Mapping[Place, Run], work_dir: Path, selection_split: str) -> list[Choice]:
    """The chosen seeds whose weights are neither registered nor in ``work_dir``."""
    choices = choose(cells, selection_split)
    existing = {source: all_versions(study.client, schema.model_name(source)) for source in {c.source for c in choices}}
    return [
        choice
        for choice in choices
        if _version_of(choice, existing[choice.source]) is None
        and not cell_weights.has_weights(study, choice.run, work_dir)
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
    """Bring the registry in line with finished cells (`runs.finished_places`); returns what changed, and what
    was held.

    Weights are taken from ``work_dir``, where the cells left them, and stored only for chosen seeds. A second call
    changes nothing; of several processes one at a time changes a registered model. Raises InputError, before anything
    is changed, when chosen weights are nowhere. Where a start of a source cannot be registered, for whatever reason,
    the others are, and a change that ``failed`` says why.

    An alias stays where it is when its version belongs to another study, was made with another recipe, from another
    corpus or from other weights of the start, or is a pinned champion, unless that reason (one of
    `selection.REPLACE_ALL`) is in ``replace``. Seeds and starts that were made from another corpus than the newest are
    not compared with it. ``corpora`` tell the cards which entities are new to a model.
    """
    store_files.check(study)
    choices = choose(cells, selection_split)
    if not choices:
        nothing = f"study {study.name!r} has no finished cell to register, imported ones left aside"
        raise InputError(nothing + _left(study))
    missing = without_weights(study, cells, work_dir, selection_split)
    if missing:
        raise InputError(nowhere(missing, work_dir))
    cell_weights.delete_twin_models(study, cells.values())
    by_source = {choice.source: [c for c in choices if c.source == choice.source] for choice in choices}
    with progress_bar(len(choices), "registering", "model") as bar:
        job = _Job(study, cells, work_dir, frozenset(replace), corpora, bar)
        for source, of_source in by_source.items():
            name = schema.model_name(source)
            try:
                with sole(study.client, name):
                    _register_source(job, of_source)
            except Exception as error:
                job.changes.append(_failure(name, "its aliases are not moved", error))
    return job.changes


def _left(study: Study) -> str:
    """Which versions a study without finished cells has registered, and how it could have more."""
    versions = [version for name in all_models(study.client) for version in all_versions(study.client, name)]
    own = [f"{one.name} version {one.version}" for one in versions if one.tags.get(schema.STUDY) == study.name]
    if not own:
        return ""
    return (
        f"; the runs of {', '.join(own)} were deleted: the study entry point with the same parameters runs them again, "
        "and registers them"
    )


def _failure(name: str, what: str, error: Exception) -> Change:
    """What is told of an error that shall not keep others from being registered; a store that is away is not one."""
    if is_away(error):
        raise error
    expected = isinstance(error, InputError | MlflowException | OSError)
    if not expected:  # the change itself is told
        logger.warning("%s: %s: %s", name, what, error, exc_info=error)
    cause = str(error).strip().partition("\n")[0]
    return Change(name, f"{what}: {cause if expected else f'{type(error).__name__}: {cause}'}", held=True, failed=True)


@contextmanager
def sole(client: MlflowClient, name: str) -> Iterator[None]:
    """While the block lasts nobody else changes this registered model, from whichever study; waits for who does."""
    common = open_study(client, schema.REGISTRY_EXPERIMENT)
    claimed = held(common, schema.stored(name), f"changes {name}")
    with claimed, Heart(common, Owner.this_process()):
        yield


@dataclass(frozen=True)
class _Job:
    """What `register` is given; ``changes`` so far, and the progress ``bar``."""

    study: Study
    cells: Mapping[Place, Run]
    work_dir: Path
    replace: frozenset[str]
    corpora: Mapping[str, Corpus] | None
    bar: tqdm
    changes: list[Change] = field(default_factory=list)


def _register_source(job: _Job, choices: Sequence[Choice]) -> None:
    """`register` for the starts of one source, while nobody else changes its registered model; adds to ``changes``."""
    study, changes = job.study, job.changes
    name = schema.model_name(choices[0].source)
    existing = _without_twins(study.client, name, all_versions(study.client, name))
    versions: list[tuple[Choice, ModelVersion]] = []
    failed: list[Choice] = []
    for choice in choices:
        changes += [Change(name, text, held=True) for text in not_compared(choice)]
        rivals = [job.cells[choice.start, choice.source, seed] for seed in choice.compared]
        try:
            version = _version_of(choice, existing)
            if version is not None:
                version, said = _looked_after(study, choice, version, job.work_dir)
                changes += said
            if version is None:
                version = _add_version(study, choice, job.work_dir, first=not existing)
                existing.append(version)
                _describe(study, choice, version, rivals, job.corpora)
                changes.append(Change(name, f"version {version.version} is {choice.words}"))
            elif _describe(study, choice, version, rivals, job.corpora):
                changes.append(Change(name, f"version {version.version} now says: {choice.words}"))
            versions.append((choice, version))
        except Exception as error:
            failed.append(choice)
            changes.append(_failure(name, f"start {choice.start} is not registered", error))
        job.bar.update()
    if not versions:
        return
    alike, left_out = _on_newest_corpus(job.cells, versions)
    changes += [Change(name, text, held=True) for text in left_out]
    champion = min(alike, key=lambda cv: _order(cv[0]))
    wanted = {schema.start_alias(c.start): (c, v) for c, v in versions} | {schema.CHAMPION: champion}
    better = [choice.start for choice in failed if _order(choice) < _order(champion[0])]
    if better and schema.CHAMPION in study.client.get_registered_model(name).aliases:
        del wanted[schema.CHAMPION]
        why = f"start {', '.join(better)} scored better but could not be registered"
        changes.append(Change(name, f"alias {schema.CHAMPION} not moved: {why}", held=True))
    weights = {c.start: c.run.data.tags[schema.START_FINGERPRINT] for c in choices}
    changes += move_aliases(study, name, wanted, weights, job.replace)


def _order(choice: Choice) -> tuple[float, str]:
    """The starts of a source from the best on."""
    return -choice.f1, choice.start


Versions = Sequence[tuple[Choice, ModelVersion]]


def _on_newest_corpus(cells: Mapping[Place, Run], versions: Versions) -> tuple[Versions, list[str]]:
    """Of the starts' best on one source those that were made from its newest corpus, and why the others were not."""
    source = versions[0][0].source
    new = lineage_of(max((run for (_, name, _), run in cells.items() if name == source), key=last_asked))
    alike, left_out = [], []
    for one in versions:
        reason = differences(lineage_of(one[0].run), new, {}).get(CORPUS)
        if reason is None:
            alike.append(one)
        else:
            left_out.append(f"start {one[0].start} not compared for the {schema.CHAMPION}: {reason}")
    return alike, left_out


def _version_of(choice: Choice, existing: Sequence[ModelVersion]) -> ModelVersion | None:
    """The newest version made of this very cell, by key and name of the start, whatever its run."""
    # where a start was renamed its cells have the same keys: one version cannot tell of both names
    named = [v for v in existing if v.tags.get(schema.START, choice.start) == choice.start]
    versions = [v for v in named if v.tags.get(schema.CELL_KEY) == choice.key]
    return max(versions, key=lambda v: int(v.version), default=None)


def _without_twins(client: MlflowClient, name: str, versions: Sequence[ModelVersion]) -> list[ModelVersion]:
    """The versions, of which those are deleted that were made a second time from one LoggedModel, by a call that was
    done twice; what an alias is at stays."""
    alike: defaultdict[tuple[str, ...], list[ModelVersion]] = defaultdict(list)
    for version in sorted(versions, key=lambda v: int(v.version)):
        if key := version.tags.get(schema.CELL_KEY):  # else not made here
            alike[version.source, key, version.tags.get(schema.START, "")].append(version)
    twins = [version for same in alike.values() for version in same[1:]]
    if not twins:
        return list(versions)
    aliased = set(map(str, client.get_registered_model(name).aliases.values()))
    gone: set[str] = set()
    for same in alike.values():
        kept = [version for version in same if str(version.version) in aliased] or same[:1]
        for version in same:
            if version not in kept:
                client.delete_model_version(name, str(version.version))
                logger.warning("%s: version %s is deleted, a twin of version %s", name, version.version,
                               kept[0].version)  # fmt: skip
                gone.add(version.version)
    return [version for version in versions if version.version not in gone]


def _looked_after(
    study: Study, choice: Choice, version: ModelVersion, work_dir: Path
) -> tuple[ModelVersion | None, list[Change]]:
    """A version of the chosen cell, of which somebody may have deleted the files: they are stored again where the
    weights are at hand. None where it takes another version to have them, for the LoggedModel of this one is gone or
    another run's."""
    model_id = version.source.removeprefix("models:/")
    if "/" in model_id:  # a copy of another version, or made from files
        return version, []
    name, which = version.name, f"version {version.version}"
    if run_of_version(version, study.client) is None:
        if cell_weights.has_weights(study, choice.run, work_dir):
            return None, [Change(name, f"the run of {which} was deleted; another version has one")]
        way = "train with again=true and keep_weights=true makes those of one cell once more"
        lost = f"the run of {which} was deleted, and there are no weights of {choice.run.info.run_name}: {way}"
        return version, [Change(name, lost, held=True)]
    model = cell_weights.find_model(study.client, model_id)
    if model is not None and cell_weights.has_files(study.client, model):
        _link(study.client, model, version)
        return version, []
    if not cell_weights.has_weights(study, choice.run, work_dir):
        way = "delete the version, and the study entry point with the same parameters trains its cell again"
        lost = f"the files of {which} are gone, and so are the weights in {weights_folder(work_dir, choice.key)}: {way}"
        return version, [Change(name, lost, held=True)]
    if model is None or model_id != choice.run.data.tags.get(schema.MODEL_URI):
        return None, [Change(name, f"the files of {which} are gone; another version has them")]
    cell_weights.store(study, choice, work_dir)
    return version, [Change(name, f"the files of {which} were gone, and are stored again")]


def _make_model(client: MlflowClient, name: str, source: str) -> None:
    """Make the registered model of a source; somebody may have made it by hand, without a version."""
    languages = " and ".join(languages_of(source))
    try:
        client.create_registered_model(
            name, description=f"Named entity recognition, fine-tuned on {languages}. One version per start: "
            f"its best seed. `{schema.CHAMPION}` is the best of all starts."
        )  # fmt: skip
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _add_version(study: Study, choice: Choice, work_dir: Path, first: bool) -> ModelVersion:
    client, name = study.client, schema.model_name(choice.source)
    model = cell_weights.find_model(client, choice.run.data.tags.get(schema.MODEL_URI, ""))
    if model is None or not cell_weights.has_files(client, model):
        cell_weights.store(study, choice, work_dir)
        model = client.get_logged_model(choice.run.data.tags[schema.MODEL_URI])
    if first:
        _make_model(client, name, choice.source)
    with fluent(study.uri):  # the client looks the model up at the global address
        made = client.create_model_version(
            name, source=f"models:/{model.model_id}", run_id=choice.run.info.run_id,
            tags=_version_tags(study, choice), model_id=model.model_id, description=f"{choice.words}.",
        )  # fmt: skip
    of_model = [version for version in all_versions(client, name) if version.source == made.source]
    made = _without_twins(client, name, of_model)[0]
    _link(client, model, made)
    return made


def _link(client: MlflowClient, model: LoggedModel, version: ModelVersion) -> None:
    """Tell a LoggedModel its version, for MLflow's pages of models; a server does so itself, a database does not."""
    own = {"name": version.name, "version": str(version.version)}
    known = json.loads(model.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    if own not in [one | {"version": str(one["version"])} for one in known]:
        client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*known, own])})


def _version_tags(study: Study, choice: Choice) -> dict[str, str]:
    """How a version was chosen, its scores and what it was made from."""
    metrics, run_tags = choice.run.data.metrics, choice.run.data.tags
    tags = lineage_of(choice.run, study.name).tags | {
        schema.SEED: run_tags[schema.SEED],
        schema.CELL_KEY: choice.key,
        schema.SEEDS_COMPARED: ",".join(map(str, choice.compared)),
        schema.SELECTION_SPLIT: choice.selection_split,
        schema.TARGETS: ",".join(card_facts.targets(choice.run)),
    }
    for split in schema.SCORED_SPLITS:
        f1 = metrics.get(schema.ScoreName(split, schema.F1, choice.source).key)
        if f1 is not None:
            tags[schema.f1_tag(split)] = repr(f1)
    return tags


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
    wanted = _version_tags(study, choice) | {schema.CARD_FORMAT: model_card.FORMAT}
    known = version.tags
    if known.get(schema.STUDY, study.name) != study.name:
        return False  # the same cell, first registered by another study: the card tells of that one's seeds
    changed = {key: value for key, value in wanted.items() if known.get(key) != value}
    if not changed:
        return False
    card = card_facts.collect(study, choice.run, rivals, choice.selection_split, corpora)
    text = model_card.readme(card, model_card.registry_snippet(card, version.version))
    store_files.write(study.client, choice.run.info.artifact_uri, schema.MODEL_CARD, text)
    study.client.update_model_version(version.name, str(version.version), model_card.description(card, version.version))
    for key in changed:
        study.client.set_model_version_tag(version.name, str(version.version), key, changed[key])
        known[key] = changed[key]
    return True
