"""The life of registered versions: which there are, which are stale and why, and the champion put back."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from nertransfer.core import schema
from nertransfer.core.errors import InputError
from nertransfer.core.grid import Place, languages_of
from nertransfer.core.text import aligned, did_you_mean
from nertransfer.registry import aliases as model_aliases
from nertransfer.registry import register
from nertransfer.registry.aliases import Change, move_alias, version_lineage
from nertransfer.registry.selection import CORPUS, OTHER_STUDY, Lineage, corpus_digest, differences, lineage_of
from nertransfer.tracking import model_uris, runs, store_files
from nertransfer.tracking.current_cells import last_asked
from nertransfer.tracking.store import (
    MlflowClient,
    ModelVersion,
    RegisteredModel,
    Run,
    Study,
    all_versions,
    find_study,
    run_of_version,
)

NO_ALIAS = "superseded: no alias points to it"
RUN_DELETED = "its run was deleted"


@dataclass(frozen=True)
class Row:
    """One version. F1 as fractions, None where it has none; ``stale``: why it should not be used, or nothing."""

    model: str
    version: int
    aliases: tuple[str, ...]
    start: str
    source: str
    seed: str
    dev_f1: float | None
    test_f1: float | None
    study: str
    stale: tuple[str, ...]


def read(
    client: MlflowClient, sources: Collection[str] = (), at_hand: Mapping[str, Mapping[str, str]] | None = None
) -> list[Row]:
    """Every version of the registered models of these sources, or of all, by name and version.

    A version is stale when no alias points to it, or when its study has since run its start and source with another
    corpus, recipe or start. ``at_hand``: digests of the corpora as they are now, by study and language; versions made
    from others are stale, too, although nothing has been run.
    """
    named = {schema.model_name(source) for source in sources}
    wanted = [name for name in model_uris.names(client) if not named or name in named]
    rows, studies = [], _Studies(client)
    for name in wanted:
        aliases: dict[int, list[str]] = {}
        for alias, version in sorted(client.get_registered_model(name).aliases.items()):
            aliases.setdefault(int(version), []).append(alias)
        for version in sorted(all_versions(client, name), key=lambda v: int(v.version)):
            if schema.CELL_KEY in version.tags:  # somebody else's model may live in the same store
                rows.append(_row(version, aliases.get(int(version.version), []), studies, at_hand or {}))
    return rows


class _Studies:
    """The cells that count in each study, looked up once."""

    def __init__(self, client: MlflowClient) -> None:
        self.client = client
        self._known: dict[str, dict[Place, Run]] = {}
        self.deleted: set[str] = set()

    def now(self, study: str, old: Lineage) -> tuple[Lineage | None, dict[str, str]]:
        """What the version's start and source are made from now, and the fingerprints of the study's starts."""
        if study not in self._known:
            try:
                found = find_study(self.client, study)
            except InputError:  # its versions are there all the same
                found, self.deleted = None, self.deleted | {study}
            self._known[study] = runs.finished_places(found) if found else {}
            if found:
                store_files.tell_of(found)
        cells = sorted(self._known[study].items(), key=lambda item: last_asked(item[1]))
        weights = {start: run.data.tags.get(schema.START_FINGERPRINT, "") for (start, _, _), run in cells}
        same = [run for (start, source, _), run in cells if (start, source) == (old.start, old.source)]
        if not same:
            return None, weights
        return lineage_of(same[-1], study), weights


def _row(
    version: ModelVersion, aliases: Sequence[str], studies: _Studies, at_hand: Mapping[str, Mapping[str, str]]
) -> Row:
    tags = version.tags
    study = tags.get(schema.STUDY, "")
    run = run_of_version(version, studies.client)
    old = version_lineage(version, run)
    new, weights = studies.now(study, old)
    reasons = differences(old, new, weights) if new else {}
    if study in studies.deleted:
        reasons = {OTHER_STUDY: "its study was deleted"}
    digests = at_hand.get(study, {})
    known = digests.keys() >= set(languages_of(old.source))
    if known and corpus_digest(digests, old.source) != old.corpus:
        reasons.setdefault(CORPUS, f"the corpus of {old.source} at hand is another one")
    scores = [float(tags[name]) if (name := schema.f1_tag(split)) in tags else None for split in schema.SCORED_SPLITS]
    is_gone = run is None or (run.info.lifecycle_stage == "deleted" and study not in studies.deleted)
    stale = ([] if aliases else [NO_ALIAS]) + ([RUN_DELETED] if is_gone else []) + list(reasons.values())
    return Row(
        version.name, int(version.version), tuple(aliases), old.start, old.source, tags.get(schema.SEED, ""),
        scores[0], scores[1], study, tuple(stale),
    )  # fmt: skip


HEADER = ("model", "version", "aliases", "start", "source", "seed", "dev F1", "test F1", "study", "stale")


def table(rows: Sequence[Row]) -> str:
    """The versions as an aligned table with a header; F1 in percent."""
    lines = [list(HEADER)]
    for row in rows:
        scores = ["" if f1 is None else f"{100 * f1:.2f}" for f1 in (row.dev_f1, row.test_f1)]
        lines.append(
            [row.model, str(row.version), ",".join(row.aliases), row.start, row.source, row.seed, *scores, row.study,
             "; ".join(row.stale)]
        )  # fmt: skip
    names = [i for i, name in enumerate(HEADER) if name not in ("version", "seed", "dev F1", "test F1")]
    return aligned(lines, names)


def stale_lines(study: Study) -> list[str]:
    """A line for every stale version that the study has registered."""
    rows = [row for row in read(study.client) if row.study == study.name and row.stale]
    return [f"stale: {row.model} version {row.version} ({'; '.join(row.stale)})" for row in rows]


def only(cells: Mapping[Place, Run], sources: Collection[str]) -> dict[Place, Run]:
    """The cells with these sources, or all; raises InputError on one that no cell has."""
    there = {source for _, source, _ in cells}
    for source in sources:
        if source not in there:
            named = ", ".join(sorted(there)) or "none"
            near = did_you_mean(source, sorted(there))
            raise InputError(
                f"source {source} is not allowed: the study has finished cells of {named}{near}", "sources", source
            )
    return {place: run for place, run in cells.items() if not sources or place[1] in sources}


def roll_back(client: MlflowClient, language: str, version: int = 0) -> Change:
    """Point the champion at ``version``, or at the champion before the present one, and pin it there.

    Registering leaves a pinned champion alone until it is told to replace. A version that was not made by a cell is
    taken only where it is named. Raises InputError when there is no such model, version or earlier champion.
    """
    store_files.check_database(client.tracking_uri)
    name = schema.model_name(language)
    models = model_uris.names(client)
    if name not in models:
        known = ", ".join(models) or "none yet"
        near = did_you_mean(language, [one.removeprefix(schema.model_name("")) for one in models])
        raise InputError(f"language={language} has no registered model; registered are: {known}{near}", "language")
    _target(client, name, version)  # refuses before a claim is written
    with register.sole(client, name):
        return _roll_back(client, name, language, version)


def _target(client: MlflowClient, name: str, version: int) -> tuple[RegisteredModel, int, int]:
    """The model, the number of its champion or 0, and that of the version to point at."""
    model = client.get_registered_model(name)
    there = {int(one.version): one for one in all_versions(client, name)}
    existing = sorted(there)
    of_cells = [number for number in existing if schema.CELL_KEY in there[number].tags]
    current = int(model.aliases.get(schema.CHAMPION, 0))
    history = model.tags.get(schema.CHAMPION_HISTORY, "")
    target = version or model_aliases.previous(history, current, of_cells)
    if target is None:
        raise InputError(
            f"{name} had no champion before version {current}; name one with version=: {', '.join(map(str, existing))}",
            "version",
        )
    if target not in existing:
        listed = ", ".join(map(str, existing))
        raise InputError(f"version={version} is not allowed: {name} has versions {listed}", "version")
    return model, current, target


def _roll_back(client: MlflowClient, name: str, language: str, version: int) -> Change:
    model, current, target = _target(client, name, version)
    back = f", rolled back from version {current}" if current and current != target else ""
    reason = f"at version {target}{back}"
    client.set_registered_model_tag(name, schema.CHAMPION_PINNED, reason)
    if target != current:
        move_alias(client, model, schema.CHAMPION, target, back=bool(current))
    moved = f"moved from version {current} to" if back else "stays at" if current else "points to"
    release = f"until register --sources {language} --replace true"
    return Change(name, f"alias {schema.CHAMPION} {moved} version {target}; pinned there {release}")
