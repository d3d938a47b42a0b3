"""Files that runs keep, fetched side by side: counts by sentence, predicted entities, vectors, tables of imports."""

import functools
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pandas as pd
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from analysis.reading.frames import utc
from analysis.reading.results import CELL, StudyResults, packed_values
from analysis.reading.sentence_counts import SentenceCounts, gathered
from analysis.reading.vectors import Embedded
from nertransfer.core import schema
from nertransfer.core.errors import InputError
from nertransfer.core.grid import Place
from nertransfer.scoring import vector_files
from nertransfer.scoring.predicted_entities import from_text, to_bytes
from nertransfer.scoring.scores import Entities
from nertransfer.tracking import store_files
from nertransfer.tracking.store import FINISHED, all_runs, client

EMBEDDING_COLUMNS = ["model", *CELL, "layers", "split", "used", "reason", "run_id", "ended"]


# --- artifacts ------------------------------------------------------------------------------------


def sentence_counts(found: StudyResults, uri: str, split: str) -> dict[str, SentenceCounts]:
    """Entities by sentence of every target's ``split``, of those used runs that have them, by target."""
    contents = _fetched(
        {place: f"{address}/{schema.SENTENCE_COUNTS}" for place, address in found.artifacts.items()}, uri
    )
    there = {place: content for place, content in contents.items() if content is not None}
    try:
        return gathered(there, split)
    except ValueError:  # a file that cannot be read, or cells that were scored on different corpora: the audit tells
        return {}


def predicted_entities(found: StudyResults, uri: str, split: str) -> dict[Place, bytes]:
    """The file of predicted entities of every used run, in the order of the frame.

    See `nertransfer.scoring.predicted_entities`. Made here from the predictions word by word for runs that are older
    than it, which takes long.
    """
    places = list(found.frame[CELL].drop_duplicates().itertuples(index=False, name=None))
    contents = _fetched({place: f"{found.artifacts[place]}/{schema.PREDICTED_ENTITIES}" for place in places}, uri)
    scored = found.digests[found.digests["split"] == split]
    older = {
        (
            (start, source, seed),
            target,
        ): f"{found.artifacts[start, source, seed]}/{schema.PREDICTIONS}/{target}.{split}.txt"
        for start, source, seed, target in scored[[*CELL, "target"]].itertuples(index=False, name=None)
        if contents[start, source, seed] is None
    }
    texts: dict[Place, dict[tuple[str, str], Entities]] = {}
    for (place, target), text in _fetched(older, uri).items():
        if text is not None:
            texts.setdefault(place, {})[target, split] = from_text(text.decode())
    contents |= {place: to_bytes(entities) for place, entities in texts.items()}
    return {place: content for place, content in contents.items() if content is not None}


def import_tables(found: StudyResults, uri: str) -> dict[str, pd.DataFrame]:
    """Of the last import: what could not be read (``unfit``); reported values that are not those counted."""
    names = {"unfit": schema.UNFIT_FILE, "disagreements": schema.DISAGREEMENTS_FILE}
    if not found.imported:
        return {}
    contents = _fetched({name: f"{found.imported}/{file}" for name, file in names.items()}, uri)
    return {name: pd.read_csv(io.BytesIO(text)) for name, text in contents.items() if text is not None}


def embeddings(found: StudyResults, uri: str) -> tuple[pd.DataFrame, Iterator[Embedded]]:
    """Every finished embedding run of the study, and those that are used, read one at a time.

    Used are the latest run of every model and layers, of the words that most models have, where corpus and weights are
    those of the scores. The layers that most models have come first, starts before cells, seeds of a cell together.
    """
    server = client(uri, must_exist=True)
    condition = f"tags.{schema.KIND} = '{schema.KIND_EMBEDDING}'{FINISHED}"
    runs = sorted(all_runs(server, found.experiment_id, condition), key=lambda r: (-r.info.end_time, r.info.run_id))
    reasons: dict[str, str] = {run.info.run_id: _stale(run, found) for run in runs}
    fit = [run for run in runs if not reasons[run.info.run_id]]
    words = _commonest(run.data.tags[schema.WORDS_DIGEST] for run in fit)
    latest: dict[tuple, Run] = {}
    for run in fit:
        if run.data.tags[schema.WORDS_DIGEST] != words:
            reasons[run.info.run_id] = "other words than most models have"
        elif latest.setdefault((_embedded_place(run), run.data.tags[schema.LAYERS]), run) is not run:
            reasons[run.info.run_id] = "embedded again later"
    layers = _commonest(layers for _, layers in latest)
    starts = list(dict.fromkeys([*found.plan["starts"], *(place[1] for place, _ in latest)]))
    order = {name: i for i, name in enumerate(found.languages)}

    def rank(key: tuple) -> tuple:
        (name, start, source, seed), own = key
        return own != layers, own, source != "", starts.index(start), order.get(source, len(order)), source, seed, name

    used = [latest[key] for key in sorted(latest, key=rank)]
    shown = [*used, *(run for run in runs if reasons[run.info.run_id])]
    rows = []
    for run in shown:
        name, start, source, seed = _embedded_place(run)
        reason, tags = reasons[run.info.run_id], run.data.tags
        rows.append(
            (name, start, source, None if seed < 0 else seed, tags[schema.LAYERS], tags.get("split", ""), not reason,
             reason, run.info.run_id, utc(run.info.end_time))
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=EMBEDDING_COLUMNS).astype({"seed": "Int64"})
    return table, (_embedded(run, uri) for run in used)


def _commonest(values: Iterable[str]) -> str:
    """The value that occurs most, the first of those that do."""
    return next((value for value, _ in Counter(values).most_common(1)), "")


def _embedded_place(run: Run) -> tuple[str, str, str, int]:
    """Name, start, source (empty: a start alone) and seed (-1) of an embedded model."""
    tags = run.data.tags
    return tags[schema.MODEL], tags[schema.START], tags.get(schema.SOURCE, ""), int(tags.get(schema.SEED, -1))


def _stale(run: Run, found: StudyResults) -> str:
    """Why an embedding does not go with the scores; empty where it does."""
    tags = run.data.tags
    other = [name for name, digest in packed_values([run], schema.CORPUS_DIGESTS).items()
             if found.corpora.get(name, digest) != digest]  # fmt: skip
    if other:
        return f"the corpus of {', '.join(sorted(other))} is not the one that was scored"
    used = found.cells[found.cells["used"]]
    if schema.SOURCE in tags:
        return "" if tags[schema.CELL_KEY] in set(used["cell_key"]) else "its cell is not among those that count"
    weights = set(used.loc[used["start"] == tags[schema.START], "start_fingerprint"]) - {""}
    fingerprint = run.data.params.get(schema.CONFIG + "fingerprint")
    return "the cells began from other weights" if weights and fingerprint not in weights else ""


def _embedded(run: Run, uri: str) -> Embedded:
    """Raises InputError where its files are not there."""
    names = (schema.WORDS_FILE, schema.VECTORS_FILE, schema.CENTRES_FILE)
    contents = _fetched({name: f"{run.info.artifact_uri}/{name}" for name in names}, uri)
    gone = [name for name, content in contents.items() if content is None]
    if gone:
        which = f"run {run.info.run_id} of kind {schema.KIND_EMBEDDING} lacks {', '.join(gone)}"
        moved = store_files.displaced(uri, run.info.artifact_uri)
        raise InputError(f"{which}: {store_files.not_there(uri, run.info.artifact_uri) if moved else 'delete it'}")
    words, vectors, centres = (content for content in contents.values() if content is not None)
    frame = vector_files.read_words(words).to_pandas()
    name, start, source, seed = _embedded_place(run)
    return Embedded(
        name, start, source or None, None if seed < 0 else seed, run.data.tags[schema.LAYERS], frame,
        vector_files.read_vectors(vectors, list(dict.fromkeys(frame["language"]))),
        vector_files.read_centres(centres),
    )  # fmt: skip


Key = TypeVar("Key")


def _fetched(addresses: Mapping[Key, str], uri: str) -> dict[Key, bytes | None]:
    """The contents of artifacts, None where there is none; several at a time where they are not on this machine.

    What the store has and does not give is no file that is missing: its error is raised.
    """
    server = functools.cache(lambda: client(uri, must_exist=True))

    def one(address: str) -> bytes | None:
        if (path := store_files.local_path(address)) is not None:
            return path.read_bytes() if path.is_file() else None
        try:
            return Path(download_artifacts(artifact_uri=address, tracking_uri=uri)).read_bytes()
        except MlflowException:
            folder, _, name = address.rpartition("/")
            if store_files.exists(server(), folder, name):
                raise
            return None

    with ThreadPoolExecutor(8) as threads:
        found = dict(zip(addresses, threads.map(one, addresses.values()), strict=True))
    if missing := next((addresses[key] for key, content in found.items() if content is None), ""):
        store_files.tell(uri, missing)
    return found
