"""Composes the report of a study and is the only writer of output files.

Everything is computed and drawn before the first file is touched, into a folder beside the
report; the files are then swapped in, so an analysis that fails leaves the previous report.
"""

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tqdm import tqdm

from analysis import (
    association,
    categories,
    computed,
    drawing,
    embeddings,
    error_pages,
    experiment_note,
    matrices,
    model_cards,
    page,
    pretraining,
    reason_sections,
    recommendation,
    results,
    score_sections,
    sections,
    source_sections,
    tables,
    typeset,
)
from analysis.collection import collected_rarely
from analysis.computed import SPLIT, Computed, minus_reference, without_averages
from analysis.drawing import Drawing, Encoded
from analysis.embedded import Embedded
from analysis.embeddings import Representations
from analysis.error_pages import ErrorReport
from analysis.results import StudyResults
from analysis.views import views
from nertransfer import corpus, pages, schema, store_files
from nertransfer.config import AnalyseConfig, DataOptions, RankConfig
from nertransfer.corpus import Corpus
from nertransfer.errors import InputError
from nertransfer.folders import make_folder
from nertransfer.labels import ALL
from nertransfer.languages import LANGUAGES
from nertransfer.nouns import count
from nertransfer.progress import progress_bar
from nertransfer.store import Study, client, inherited_run, public_uri, resolve_uri, study_name

INDEX = "index.html"
PAIRS = "each point is a source and a target, named where there is room"


@collected_rarely()
def write(config: AnalyseConfig) -> Path:
    """Write the report of a study to ``<output>/<study>/`` and log it as artifacts of an analysis run.

    Returns the path of ``index.html`` and prints it. Other files in the folder stay. Raises
    InputError when the study cannot be read; nothing is written then.
    """
    uri, study = resolve_uri(config.tracking), study_name(config.data, config.tracking)
    drawing.prepare()
    found = results.read(uri, study)
    found = results.in_order(found, _languages(found, config.order))
    corpora, without = _corpora(config.data, found)
    folder = Path(config.output).absolute() / safe_name(study)
    make_folder(folder, "output")
    shown = views(found.frame, found.plan, found.languages)
    reference = computed.reference_of(found, shown)
    errors = _errors(found, uri, corpora, computed.error_groups(shown), reference)
    counts = results.sentence_counts(found, uri, SPLIT)
    published = config.style == "published"
    models, embedded = results.embeddings(found, uri)
    with progress_bar(int(models["used"].sum()), "embeddings", "model", show=bool(len(models))) as bar:
        done = computed.compute(
            found, shown, reference, counts, corpora or without, results.import_tables(found, uri), published,
            config.selection_split, (models, _counted(embedded, bar)) if len(models) else None,
        )  # fmt: skip
    drawn, captions = figures(done)  # they are drawn while the rest is computed and written
    done = replace(done, errors=errors.result())
    files = compose(done, drawn, captions, uri, published)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        new = Path(temporary) / "new"
        for name, content in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            _log(client(uri, must_exist=True), done, new)
        finally:  # an artifact store out of reach does not cost the local report
            _swap(new, folder, Path(temporary) / "old")
    absent = matrices.missing_cells(done.missing)
    print(f"report: {folder / INDEX} ({_missing_text(absent)})")
    return folder / INDEX


def _counted(several: Iterable[Embedded], bar: tqdm) -> Iterator[Embedded]:
    for one in several:
        yield one
        bar.update()


def recommend(config: RankConfig) -> Path:
    """Rank the sources of a study for a target: print the table, write it to ``<output>/<study>/recommended/``.

    Two files, ``<target>-<start>.csv`` and ``<target>-<start>.judged.csv``: the ranking, and the ways to rank. Returns
    the path of the first. Raises InputError where study, start or target do not allow it; nothing is written then.
    """
    study = study_name(config.data, config.tracking)
    found = results.read(resolve_uri(config.tracking), study)
    config = replace(config, start=config.start or recommendation.usual_start(found))
    corpora, without = _corpora(config.data, found)
    encoder = None
    if config.encoder and corpora:  # without the sources' texts it had nothing to compare
        from nertransfer.text_vectors import TextEncoder  # only where it is asked for: it takes seconds to import

        encoder = TextEncoder(config.encoder, config.data)
    done = recommendation.compute(found, config, corpora, without, encoder)
    name = f"{safe_name(f'{config.target}-{config.start}')}.csv"
    path = Path(config.output).absolute() / safe_name(study) / "recommended" / name
    make_folder(path.parent, "output")
    for place, frame in ((path, done.table), (path.with_suffix(".judged.csv"), done.judged.table)):
        new = place.with_name(f".{place.name}.{os.getpid()}")
        new.write_text(tables.csv_text(frame), encoding="utf-8")
        new.replace(place)
    print(recommendation.text(done, config), f"Written: {path}", sep="\n\n")
    return path


def safe_name(name: str) -> str:
    """``name`` where it can name a file anywhere; else its harmless characters and a digest."""
    harmless = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".")
    if harmless == name and 0 < len(name) <= 100:
        return name
    return f"{harmless[:80].strip('_') or 'unnamed'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _swap(new: Path, folder: Path, old: Path) -> None:
    """Put every entry of ``new`` in the place of the one of that name in ``folder``; others stay."""
    old.mkdir()
    for entry in sorted(new.iterdir()):
        place = folder / entry.name
        if place.exists() or place.is_symlink():
            shutil.move(place, old / entry.name)
        entry.rename(place)


def _log(server: MlflowClient, done: Computed, folder: Path) -> None:
    """Log the folder as artifacts of an analysis run: the one that is open for this process, or a new one.

    The experiment's page then opens on the study's results. A store that should not be written to costs one line.
    """
    experiment_id = done.found.experiment_id
    if reason := store_files.unfit(Study(server, experiment_id, done.found.study), told=True):
        print(f"the report is not logged with the study: {reason}", file=sys.stderr)
        return
    tags = {schema.KIND: schema.KIND_ANALYSIS}
    run_id = inherited_run(server, experiment_id)
    if run_id is None:
        run_id = server.create_run(experiment_id, tags=tags, run_name="analysis").info.run_id
    else:
        for key, value in tags.items():
            server.set_tag(run_id, key, value)
    try:
        server.log_artifacts(run_id, str(folder), "report")
        configurations = (done.found.frame["start"] + "-" + done.found.frame["source"]).unique().tolist()
        best = model_cards.champions(done.cards, done.found.cells)
        shown = pages.view_tags(done.found.languages, configurations, best) | pages.EXPERIMENT_KIND
        shown[schema.NOTE] = experiment_note.note(done, pages.run_page("", experiment_id, run_id))
        _describe(server, experiment_id, shown)
    except BaseException:
        server.set_terminated(run_id, "FAILED")
        raise
    server.set_terminated(run_id, "FINISHED")


def _describe(server: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of an experiment; one that the server refuses is told and costs no report."""
    for key, value in tags.items():
        try:
            server.set_experiment_tag(experiment_id, key, value)
        except MlflowException as error:
            print(f"the study's page in MLflow is without {key}: {error}", file=sys.stderr)


def _languages(found: StudyResults, order: str) -> list[str]:
    """The order of the languages, which clustering takes from the scores of the first start."""
    if order != "clustering":
        return results.language_order(found, order)
    first = matrices.axes(found.frame, found.plan, found.languages)
    start = next(iter(first))
    return matrices.clustered(matrices.transfer_matrix(found.frame, start, *first[start]), found.languages)


def _corpora(data: DataOptions, found: StudyResults) -> tuple[dict[str, Corpus], str]:
    """The corpora of the study's languages, if they are those that were scored; else none, and why."""
    wanted = [name for name in found.languages if name in found.corpora]
    try:
        if not wanted:
            raise InputError("no run says which corpora its scores are of")
        if not data.data or not corpus.are_at_hand(data):
            raise InputError("not at hand")
        existing = corpus.names(data)
        there = tuple(name for name in wanted if name in existing)
        if not there:
            raise InputError("it has none of the study's languages")
        corpora = corpus.load(replace(data, languages=there))
    except InputError as error:
        reason = str(error)
    else:
        other = [name for name, one in corpora.items() if found.corpora[name] != one.digest]
        if not other:
            return {name: corpora[name] for name in found.languages if name in corpora}, ""
        reason = f"its {', '.join(other)} differ from what was scored"
    return {}, f"data={data.data!r}: {reason}" if data.data else f"the study's data: {reason}"


def _errors(
    found: StudyResults,
    uri: str,
    corpora: dict[str, Corpus],
    groups: Mapping[str, Sequence[tuple[str, str]]],
    reference: str,
) -> "Future[ErrorReport | None]":
    """The error analysis, which goes on beside the rest; None without corpora or predictions."""
    files = results.predicted_entities(found, uri, SPLIT) if corpora else {}
    return drawing.beside(
        error_pages.analyse, found.study, f"../{INDEX}", files, corpora, found.languages, groups, reference
    )


# --- what is in the report -----------------------------------------------------------------------


def compose(
    done: Computed, drawn: "Mapping[str, Future[Encoded]]", captions: Mapping[str, str], uri: str, published: bool
) -> dict[str, bytes]:
    """Every file of the report by its name inside the folder; ``drawn`` and ``captions`` as `figures` gives them."""
    file_of = {view.name: f"transfer/{safe_name(view.name)}.csv" for view in done.views}
    of_errors, captions_of_errors = error_figures(done)
    drawn, captions = {**drawn, **of_errors}, {**captions, **captions_of_errors}
    texts = {
        **_frames(done),
        **_transfer(done),
        **_overlap(done),
        **_errors_found(done),
        **_audit(done),
        **_papers(done, published),
    }
    files = {name: text.encode() for name, text in texts.items()}
    files |= drawing.encoded(drawn)
    images = {stem: files[f"{stem}.png"] for stem in captions}
    run_url = _run_url(uri, done.found.experiment_id)
    shown = sections.page(done, file_of, captions, images, run_url, public_uri(uri), [*sorted(files), INDEX])
    files[INDEX] = page.render(shown).encode()
    return dict(sorted(files.items()))


def _frames(done: Computed) -> dict[str, str]:
    """Long tables."""
    found = done.found
    frames = {
        "results": results.every_score(found),
        "overall": results.with_few_shot(found.overall, found.few_shot.overall),
        "cells": results.with_few_shot(found.cells, found.few_shot.cells),
        "missing": done.missing,
        "duplicates": results.every_duplicate(found),
        "best_source": done.best,
        "by_relation": done.relations,
        "by_category": done.by_category,
        "by_mode": score_sections.modes_table(done),
        "pretraining": done.pretraining,
        "categories": done.in_language,
        "model_cards": done.cards,
        "statistics/intervals": done.intervals,
        "statistics/differences": done.differences,
        "statistics/starts": done.start_averages,
        "statistics/ranks": done.ranks,
        "statistics/rank_agreement": done.agreement,
        "statistics/seeds_needed": done.seeds,
        "statistics/mixed_model": done.mixed.terms,
    }
    if done.representations is not None:
        represented = done.representations
        frames |= {
            "embeddings/models": represented.models,
            "embeddings/points": represented.points,
            "embeddings/alignment": represented.alignment,
            "embeddings/alignment_means": embeddings.alignment_means(represented.alignment),
            "embeddings/by_relation": represented.relations,
            "embeddings/silhouettes": represented.silhouettes,
            "embeddings/seeds": represented.seeds,
            "embeddings/cka": represented.cka,
            "embeddings/associations": represented.associations,
        }
    if not isinstance(done.ranking, str):
        frames |= {"ranking/judged": done.ranking.table, "ranking/leave_one_out": done.ranking.left_out}
    if len(done.multi_source):
        frames["multi_source"] = done.multi_source
    if len(done.learning_curves):
        frames |= {"few_shot": done.learning_curves, "few_shot_saved": done.saved}
    return {f"{name}.csv": tables.csv_text(frame) for name, frame in frames.items()}


def _transfer(done: Computed) -> dict[str, str]:
    """Matrices: mean, sd and n; zero-shot alone; less the reference; and the same by category in folders."""
    texts = {}
    for view in done.views:
        for category, one in done.matrices[view.name].items():
            folder = "transfer" if category == ALL else f"transfer/{safe_name(category)}"
            stem = f"{folder}/{safe_name(view.name)}"
            texts[f"{stem}.csv"] = tables.matrix_csv(one.mean)
            texts[f"{stem}.sd.csv"] = tables.matrix_csv(one.sd)
            texts[f"{stem}.n.csv"] = tables.csv_text(without_averages(one.n), index=True)
            inner = without_averages(one.mean)
            others = np.array([[not view.is_own(row, t) for t in inner.columns] for row in inner.index], dtype=bool)
            zero_shot = matrices.masked(inner, others.reshape(inner.shape))
            texts[f"{stem}.zero-shot.csv"] = tables.matrix_csv(zero_shot)
            less = minus_reference(done, view, category)
            if less is not None:
                texts[f"{stem}-minus-{safe_name(done.reference)}.csv"] = tables.matrix_csv(matrices.with_average(less))
    return texts


def _overlap(done: Computed) -> dict[str, str]:
    if done.overlap is None:
        return {}
    found = done.overlap
    counted = {
        f"overlap/{'all' if category == ALL else safe_name(category)}.csv": tables.csv_text(matrix, index=True)
        for category, matrix in found.published.items()
    }
    frames = {
        "train_test": found.table, "train_exposure": found.exposure, "associations": found.associations,
        "dyads": found.points,
    }  # fmt: skip
    return counted | {f"overlap/{name}.csv": tables.csv_text(frame) for name, frame in frames.items()}


def _errors_found(done: Computed) -> dict[str, str]:
    if done.errors is None:
        return {}
    found = done.errors.tables
    frames = {
        "confusion": found.confusion, "kinds": found.kinds, "examples": found.examples,
        "kinds_summary": found.kinds_of_groups, "buckets": found.buckets.table, "bucket_gaps": found.buckets.gaps,
        "buckets_summary": found.buckets.summary,
    }  # fmt: skip
    texts = {f"{name}.csv": tables.csv_text(frame) for name, frame in frames.items()} | dict(done.errors.pages)
    return {f"{reason_sections.ERRORS}/{name}": text for name, text in texts.items()}


def _audit(done: Computed) -> dict[str, str]:
    rows = [(finding.severity.name.lower(), finding.title, finding.text) for finding in done.findings]
    listed = tables.csv_text(pd.DataFrame(rows, columns=["severity", "finding", "text"]))
    return {"audit.csv": listed} | {
        f"audit/{finding.kind}.csv": tables.csv_text(finding.rows) for finding in done.findings if finding.kind
    }


def _papers(done: Computed, published: bool) -> dict[str, str]:
    """Tables for papers, LaTeX and Markdown; as the first study printed them where that is asked for."""
    found, languages = done.found, list(dict.fromkeys(done.pretraining["language"]))
    made = {
        "pretraining": pretraining.table(done.pretraining, languages, SPLIT, done.test, ddof=done.ddof),
        "categories": categories.table(done.in_language, SPLIT, ddof=done.ddof),
        "model_cards": model_cards.table(done.cards),
    }
    texts = {f"tables/{name}.tex": typeset.latex(table) for name, table in made.items()}
    texts |= {f"tables/{name}.md": typeset.markdown(table) for name, table in made.items()}
    texts["tables/model_cards.md"] = model_cards.markdown(done.cards, found.locations, published)
    if published and len(done.pretraining) and done.pretraining["n"].any():
        regions = {name: categories.short_region(LANGUAGES[name].region) for name in languages if name in LANGUAGES}
        texts["tables/pretraining.tex"] = pretraining.published_latex(found.frame, languages)
        texts["tables/pretraining_compressed.csv"] = pretraining.published_csv(found.frame, languages)
        texts["tables/categories.tex"] = categories.published_latex(found.frame, languages, regions)
    return texts


def figures(done: Computed) -> "tuple[dict[str, Future[Encoded]], dict[str, str]]":
    """Figures that are being drawn, and their captions, by the stem of their files; `error_figures` are apart."""
    wide = [view for view in done.views if view.wide] or done.views[:1]
    limits = matrices.limits(done.matrices[view.name][ALL].mean for view in wide)
    drawn: dict[str, Drawing] = {}
    captions = {}
    for view in wide:
        one, stem = done.matrices[view.name][ALL], f"figures/{safe_name(view.name)}"
        own_row = view.configuration(view.rows[0])[1] if view.kind == "pivot" and view.rows else ""
        shown = _seeds_text(without_averages(one.n).to_numpy())
        label = f"F1 (%), {SPLIT}, mean of {shown}"
        options = {"row_name": view.row_name, "own_row": own_row}
        drawn[stem] = Drawing("heatmap", (one.mean, one.sd, view.title, label, limits), options)
        captions[stem] = f"Mean F1 in percent: {view.title}, {shown}"
    others = {view.name: minus_reference(done, view, ALL) for view in wide if view.kind != "pivot"}
    less = {name: frame for name, frame in others.items() if frame is not None and frame.notna().any(axis=None)}
    low, high = matrices.limits(less.values())
    reach = max(abs(low), abs(high))
    for name, frame in less.items():
        stem = f"figures/{safe_name(name)}-minus-{safe_name(done.reference)}"
        title = f"{name} minus {done.reference}"
        label = f"difference in F1 (percentage points), {SPLIT}"
        arguments = (matrices.with_average(frame), None, title, label, (-reach, reach))
        drawn[stem] = Drawing("heatmap", arguments, {"diverging": True})
        captions[stem] = f"Difference in F1, percentage points: {title}"
    if done.pretraining["mean"].notna().any():
        label = f"F1 (%), {SPLIT}, 95 % interval"
        title = "Fine-tuned and scored on one language"
        arguments = (done.pretraining, "language", "role", title, label, _notes(done.pretraining))
        drawn["figures/pretraining"] = Drawing("intervals", arguments)
        captions["figures/pretraining"] = f"In-language F1 by start, with 95 % intervals ({done.interval})"
    for (start, target), part in done.learning_curves.groupby(["start", "target"], sort=False):
        stem = f"{source_sections.FEW_SHOT_FIGURE}{safe_name(f'{start}-{target}')}"
        title = f"A few labelled sentences of {target}, start {start}"
        part = part.rename(columns={"f1": "mean"}).assign(series=source_sections.lines(part))
        label = f"F1 (%) on {target}, {SPLIT}, 95 % interval"
        drawn[stem] = Drawing("learning_curves", (part, title, label))
        seeds = _seeds_text(part["n_seeds"].to_numpy())
        captions[stem] = f"F1 on {target} by number of its labelled sentences, start {start}, {seeds}"
    if done.overlap is not None and len(done.overlap.points) > 2:
        points = done.overlap.points
        named = {"label": points["source"] + ">" + points["target"], "group": points["target"]}
        arguments = (
            pd.DataFrame({"x": 100 * points["overlap"], "y": points["f1"]} | named),
            f"Overlap and zero-shot transfer, {points['matrix'].iloc[0]} (n = {len(points)} pairs)",
            "entity tokens of the target's test split that the source's train split has (%)",
            f"zero-shot F1 (%), {SPLIT}",
        )
        drawn["figures/overlap"] = Drawing("scatter", arguments)
        captions["figures/overlap"] = f"Zero-shot F1 against overlap: {PAIRS}"
    if done.representations is not None:
        more, captions_of_more = _representation_figures(done, done.representations)
        drawn, captions = drawn | more, captions | captions_of_more
    return drawing.begun(drawn), captions


def error_figures(done: Computed) -> "tuple[dict[str, Future[Encoded]], dict[str, str]]":
    """As `figures`: the error analysis is the last that is ready."""
    seen = (
        reason_sections.seen_and_unseen(done.errors.tables.buckets.summary)
        if done.errors is not None
        else pd.DataFrame()
    )
    if seen.empty or not seen["mean"].notna().any():
        return {}, {}
    stem, title = "figures/seen", "Entities that stand in the source's train split, and others"
    notes = {str(name): f"n={n:,}" for name, n in seen.groupby("bucket")["gold"].max().items()}
    arguments = (seen, "bucket", "start", title, f"F1 (%), {SPLIT}, 95 % interval", notes)
    caption = (
        "F1 of entities that the source's train split has with this category, with another one only, or not, "
        "with 95 % intervals; n: gold entities over all pairs of source and target, the most of any start"
    )
    return drawing.begun({stem: Drawing("intervals", arguments)}), {stem: caption}


def _representation_figures(done: Computed, found: Representations) -> tuple[dict[str, Drawing], dict[str, str]]:
    """Drawings and captions by stem: projections, alignment as a matrix, alignment against F1."""
    drawn, captions = {}, {}
    for one in found.arrangements:
        stem = f"{reason_sections.REPRESENTATIONS}{safe_name(one.name)}"
        words = one.points.drop_duplicates(["language", "category"])["words"].sum()
        title = f"{one.title} (n = {words:,} words)"
        arguments = (one.points, title, one.projection.explained, one.projection.stress)
        drawn[stem] = Drawing("projections", arguments)
        captions[stem] = f"{one.title}: centres of {len(one.points)} groups of words, by PCA and by MDS"
    for stage in embeddings.STAGES:
        matrix = embeddings.alignment_matrix(found.alignment, done.reference, stage)
        if matrix.notna().sum(axis=None) < 4:
            continue
        languages = [name for name in matrix.columns if name in matrix.index]
        stem, what = f"{reason_sections.REPRESENTATIONS}alignment-{safe_name(stage)}", embeddings.STAGES[stage]
        title = f"{done.reference}, {what}: do its categories align?"
        label = f"nearest-centre accuracy (%), {found.split}"
        shown = 100 * matrix
        drawn[stem] = Drawing("heatmap", (shown, None, title, label, matrices.limits([shown])))
        captions[stem] = (
            f"{done.reference}, {what}: share of the target's words that are nearest to the source's centre of their "
            "own category, in percent"
        )
        if done.reference not in done.cubes or len(languages) < 3:
            continue
        points = association.points(done.cubes[done.reference].statistic("mean"), shown, done.reference)
        named = {"label": points["source"] + ">" + points["target"], "group": points["target"]}
        frame = pd.DataFrame({"x": points["overlap"], "y": points["f1"]} | named)
        title = f"Alignment and transfer: {done.reference}, {what} (n = {len(points)})"
        arguments = (frame, title, label, f"zero-shot F1 (%), {SPLIT}")
        drawn[f"{stem}-f1"] = Drawing("scatter", arguments)
        apart = "" if found.split == SPLIT else f" (alignment on {found.split}, F1 on {SPLIT})"
        captions[f"{stem}-f1"] = f"Zero-shot F1 against alignment{apart}, {what}: {PAIRS}"
    return drawn, captions


def _seeds_text(numbers: np.ndarray) -> str:
    """``3 seeds``, or ``2 to 3 seeds`` where places have unequally many; those without any do not count."""
    seeds = sorted({int(value) for value in numbers[numbers > 0].ravel()})
    if not seeds:
        return "no seed"
    return f"{seeds[0]} to {count(seeds[-1], 'seed')}" if len(seeds) > 1 else count(seeds[0], "seed")


def _notes(table: pd.DataFrame) -> dict[str, str]:
    """Seeds by language, where all starts that are drawn have as many; else how few at least."""
    drawn = table[table["n"] > 0].groupby("language")["n"]
    fewest, most = drawn.min(), drawn.max()
    return {
        str(name): f"n={most[name]}" if fewest[name] == most[name] else f"n={fewest[name]}-{most[name]}"
        for name in most.index
    }


def _missing_text(cells: pd.DataFrame) -> str:
    """``nothing missing``, or how many cells, with their reasons."""
    if not len(cells):
        return "nothing missing"
    reasons = cells["reason"].value_counts(sort=False)
    parts = [f"{n} {reason}" for reason, n in sorted(reasons.items())]
    return f"{count(len(cells), 'cell')} missing: {', '.join(parts)}"


def _run_url(uri: str, experiment_id: str) -> str:
    """Address of a run's page up to its id; empty for a store without pages."""
    if not uri.startswith(("http://", "https://")):
        return ""
    return f"{public_uri(uri).rstrip('/')}/#/experiments/{experiment_id}/runs/"
