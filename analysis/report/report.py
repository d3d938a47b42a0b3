"""Composes the report of a study and is the only writer of output files.

Everything is computed and drawn before the first file is touched, into a folder beside the
report; the files are then swapped in, so an analysis that fails leaves the previous report.
"""

import functools
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tqdm import tqdm

from analysis.audit.audit import NEED_CORPORA
from analysis.embeddings import alignment
from analysis.reading import files as reading_files
from analysis.reading import frames as reading_frames
from analysis.reading import order as reading_order
from analysis.reading import read, scored_corpora
from analysis.reading.results import StudyResults
from analysis.reading.vectors import Embedded
from analysis.report import background, experiment_note, study_analysis
from analysis.report.background import Encoded, collected_rarely
from analysis.report.figures import error_figures, figures
from analysis.report.html import error_pages, page
from analysis.report.html.error_pages import ErrorReport
from analysis.report.paper_tables import category_table, matrix_table, model_table, pretraining_table, typeset
from analysis.report.sections import page as sections
from analysis.report.sections import reasons as reason_sections
from analysis.report.sections import scores
from analysis.report.study_analysis import SPLIT, Computed, averaged, minus_reference
from analysis.statistics import tables
from analysis.transfer import chosen_models, matrices
from analysis.transfer.matrices import AVERAGE, ZERO_SHOT
from nertransfer.core import schema
from nertransfer.core.config import AnalyseConfig
from nertransfer.core.console import progress_bar
from nertransfer.core.files import make_folder, safe_name
from nertransfer.core.schema import ALL
from nertransfer.core.text import count
from nertransfer.corpora.corpus import Corpus
from nertransfer.corpora.languages import LANGUAGES
from nertransfer.tracking import store_files, ui_links
from nertransfer.tracking.addresses import public_uri, resolve_uri
from nertransfer.tracking.store import Study, client, delete_twins, inherited_run, study_name

INDEX = "index.html"


@collected_rarely()
def write(config: AnalyseConfig) -> Path:
    """Write the report of a study to ``<output>/<study>/`` and log it as artifacts of an analysis run.

    Some starts, sources or targets alone go to ``<study>-part``, and are not logged. Returns the path of ``index.html``
    and prints it. Other files in the folder stay. Raises InputError when the study cannot be read; nothing is written
    then.
    """
    uri, study = resolve_uri(config.tracking), study_name(config.data, config.tracking)
    background.prepare()
    whole = read.read(uri, study)
    found = reading_order.part_of(whole, config.starts, config.sources, config.targets)
    published = config.style == "published"
    order = config.order if config.order != "auto" else "given" if published else "family"
    found = reading_order.in_order(found, _languages(found, order))
    corpora, without = scored_corpora.corpora_of(config.data, found)
    part = bool(config.starts or config.sources or config.targets)
    folder = Path(config.output).absolute() / safe_name(f"{study}-part" if part else study)
    make_folder(folder, "output")
    basis = study_analysis.basis(found, published, whole)
    errors = _errors(found, uri, corpora, study_analysis.error_groups(basis.shown), basis.reference)
    counts = reading_files.sentence_counts(found, uri, SPLIT)
    models, embedded = reading_files.embeddings(found, uri)
    with progress_bar(int(models["used"].sum()), "embeddings", "model", show=bool(len(models))) as bar:
        beside = study_analysis.Beside(counts, corpora or without, reading_files.import_tables(found, uri))
        if len(models):
            beside = replace(beside, embedded=(models, _counted(embedded, bar)))
        done = study_analysis.compute(basis, beside, published, config.selection_split)
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
            if not part:  # the study's page shows the whole of it
                _log(client(uri, must_exist=True), done, new)
        finally:  # an artifact store out of reach does not cost the local report
            _swap(new, folder, Path(temporary) / "old")
    absent = matrices.missing_cells(done.missing)
    print(f"report: {folder / INDEX} ({_missing_text(absent)})")
    if without:
        print(f"left out: {NEED_CORPORA} ({without})", file=sys.stderr)
    return folder / INDEX


def _counted(several: Iterable[Embedded], bar: tqdm) -> Iterator[Embedded]:
    for one in several:
        yield one
        bar.update()


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
    study = Study(server, experiment_id, done.found.study)
    if reason := store_files.unfit(study, told=True):
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
        best = chosen_models.champions(done.cards, done.found.cells)
        shown = ui_links.view_tags(done.found.languages, configurations, best) | ui_links.EXPERIMENT_KIND
        shown[schema.NOTE] = experiment_note.note(done, ui_links.run_page("", experiment_id, run_id))
        _describe(server, experiment_id, shown)
    except BaseException:
        server.set_terminated(run_id, "FAILED")
        raise
    server.set_terminated(run_id, "FINISHED")
    delete_twins(study)


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
        return reading_order.language_order(found, order)
    first = matrices.axes(found.frame, found.plan, found.languages)
    start = next(iter(first))
    return matrices.clustered(matrices.cube(found.frame, start, *first[start]).statistic("mean"), found.languages)


def _errors(
    found: StudyResults,
    uri: str,
    corpora: dict[str, Corpus],
    groups: Mapping[str, Sequence[tuple[str, str]]],
    reference: str,
) -> "Future[ErrorReport | None]":
    """The error analysis, which goes on beside the rest; None without corpora or predictions."""
    files = reading_files.predicted_entities(found, uri, SPLIT) if corpora else {}
    return background.beside(
        error_pages.analyse, found.study, f"../{INDEX}", files, corpora, found.languages, groups, reference
    )


# --- what is in the report -----------------------------------------------------------------------


def compose(
    done: Computed, drawn: "Mapping[str, Future[Encoded]]", captions: Mapping[str, str], uri: str, published: bool
) -> dict[str, bytes]:
    """Every file of the report by its name inside the folder; ``drawn`` and ``captions`` as `figures` gives them."""
    file_of = functools.partial(_transfer_files, done)
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
    files |= background.encoded(drawn)
    images = {stem: files[f"{stem}.png"] for stem in captions}
    run_url = _run_url(uri, done.found.experiment_id)
    shown = sections.page(done, file_of, captions, images, run_url, public_uri(uri), [*sorted(files), INDEX])
    files[INDEX] = page.render(shown).encode()
    return dict(sorted(files.items()))


def _frames(done: Computed) -> dict[str, str]:
    """Long tables."""
    found = done.found
    frames = {
        "answers": done.answers,
        "adapted_to_target": done.adapted,
        "statistics/adaptation": done.adaptation,
        "excluded": done.verdicts.excluded,
        "collapsed": done.verdicts.collapsed,
        "consequences": done.consequences,
        "results": reading_frames.every_score(found),
        "overall": reading_frames.with_few_shot(found.overall, found.few_shot.overall),
        "cells": reading_frames.with_few_shot(found.cells, found.few_shot.cells),
        "missing": done.missing,
        "duplicates": reading_frames.every_duplicate(found),
        "best_source": done.best,
        "by_relation": done.relations,
        "by_category": done.by_category,
        "by_mode": scores.modes_table(done),
        "pretraining": done.pretraining,
        "categories": done.in_language,
        "model_cards": done.cards,
        "statistics/intervals": done.intervals,
        "statistics/differences": done.differences,
        "statistics/starts": done.start_averages,
        "statistics/in_language_starts": done.in_language_averages,
        "statistics/start_pairs": done.start_pairs,
        "statistics/ranks": done.ranks,
        "statistics/rank_agreement": done.agreement,
        "statistics/seeds_needed": done.seeds,
        "statistics/mixed_model": done.mixed.terms,
        "statistics/claims": done.claims,
    }
    if done.representations is not None:
        represented = done.representations
        frames |= {
            "embeddings/models": represented.models,
            "embeddings/points": represented.points,
            "embeddings/alignment": represented.alignment,
            "embeddings/alignment_means": alignment.alignment_means(represented.alignment),
            "embeddings/by_relation": represented.relations,
            "embeddings/silhouettes": represented.silhouettes,
            "embeddings/seeds": represented.seeds,
            "embeddings/cka": represented.cka,
            "embeddings/associations": represented.associations,
        }
    if not isinstance(done.ranking, str):
        frames |= {"ranking/judged": done.ranking.table, "ranking/leave_one_out": done.ranking.left_out}
    if len(done.systems):
        frames["systems"] = done.systems
    if len(done.multi_source):
        frames["multi_source"] = done.multi_source
    if len(done.learning_curves):
        frames |= {"few_shot": done.learning_curves, "few_shot_saved": done.saved}
    return {f"{name}.csv": tables.csv_text(frame) for name, frame in frames.items()}


def _transfer_files(done: Computed, view: str, category: str) -> dict[str, str]:
    """The files of one matrix by what they hold."""
    stem = "/".join(["transfer", *([] if category == ALL else [safe_name(category)]), safe_name(view)])
    named = {"mean": ".csv", "sd": ".sd.csv", "n": ".n.csv", "zero-shot": ".zero-shot.csv"}
    named["difference"] = f"-minus-{safe_name(done.reference)}.csv"
    return {name: f"{stem}{ending}" for name, ending in named.items()}


def _transfer(done: Computed) -> dict[str, str]:
    """Matrices: mean, sd and n; zero-shot alone; less the reference; and the same by category in folders."""
    texts = {}
    for view in done.views:
        for category, one in done.matrices[view.name].items():
            files = _transfer_files(done, view.name, category)
            texts[files["mean"]] = tables.matrix_csv(one.mean)
            texts[files["sd"]] = tables.matrix_csv(one.sd)
            texts[files["n"]] = tables.csv_text(one.inner("n"), index=True)
            inner = one.inner("mean")
            name = AVERAGE if done.published else ZERO_SHOT
            zero_shot = matrices.masked(inner, ~view.own(inner.columns), name)
            texts[files["zero-shot"]] = tables.matrix_csv(zero_shot)
            less = minus_reference(done, view, category)
            if less is not None:
                texts[files["difference"]] = tables.matrix_csv(averaged(done, view, less))
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
        "buckets_summary": found.buckets.summary, "suspects": done.errors.suspects,
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
        "pretraining": pretraining_table.table(
            done.pretraining,
            languages,
            SPLIT,
            done.test,
            ddof=done.ddof,
            tests=int(done.differences["p"].notna().sum()),
            reference=done.reference,
        ),
        "categories": category_table.table(done.in_language, SPLIT, ddof=done.ddof),
        "model_cards": model_table.table(done.cards),
        **_matrix_tables(done),
    }
    texts = {f"tables/{name}.tex": typeset.latex(table) for name, table in made.items()}
    texts |= {f"tables/{name}.md": typeset.markdown(table) for name, table in made.items()}
    texts["tables/model_cards.md"] = model_table.markdown(done.cards, found.locations, published)
    if published and len(done.pretraining) and done.pretraining["n"].any():
        regions = {name: category_table.short_region(LANGUAGES[name].region) for name in languages if name in LANGUAGES}
        texts["tables/pretraining.tex"] = pretraining_table.published_latex(found.frame, languages)
        texts["tables/pretraining_compressed.csv"] = pretraining_table.published_csv(found.frame, languages)
        texts["tables/categories.tex"] = category_table.published_latex(found.frame, languages, regions)
    return texts


def _matrix_tables(done: Computed) -> dict[str, typeset.Table]:
    """Every matrix of all categories together, less the reference too; the answers; the averages of starts."""
    made = {}
    for view in done.views:
        one, name = done.matrices[view.name][ALL], safe_name(view.name)
        own = view.own(one.inner("mean").columns)
        made[f"transfer-{name}"] = matrix_table.matrix(one.mean, one.sd, one.n, own, view, SPLIT, done.ddof)
        if (less := minus_reference(done, view, ALL)) is not None:
            points = averaged(done, view, less)
            made[f"transfer-{name}-minus-{safe_name(done.reference)}"] = matrix_table.difference(
                points, view, done.reference, SPLIT
            )
    if len(done.answers):
        made["answers"] = matrix_table.answers(done.answers, SPLIT, done.setting)
    averages = done.start_averages if done.setting == matrices.ZERO_SHOT else done.in_language_averages
    if averages["f1"].notna().sum() > 1:
        made["starts"] = matrix_table.starts(averages, done.reference, SPLIT, done.setting)
    return made


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
