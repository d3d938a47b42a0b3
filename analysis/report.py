"""Composes the report of a study and is the only writer of output files.

Everything is computed and drawn before the first file is touched, into a folder beside the
report; the files are then swapped in, so an analysis that fails leaves the previous report.
"""

import base64
import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jinja2
import pandas as pd
from mlflow import MlflowClient

from analysis import matrices, plots, results, tables
from analysis.matrices import Average, Cube
from analysis.results import StudyResults
from nertransfer import schema
from nertransfer.config import AnalyseConfig
from nertransfer.labels import ALL
from nertransfer.store import client, inherited_run, public_uri, resolve_uri, study_name

SPLIT = "test"
INDEX = "index.html"
LISTED_CELLS = 60
"""At most so many missing cells are listed on the page; missing.csv has them all."""
LISTED_TARGETS = 12
"""With more targets than that, the best sources stand in their table only."""


def write(config: AnalyseConfig) -> Path:
    """Write the report of a study to ``<output>/<study>/`` and log it as artifacts of an analysis run.

    Returns the path of ``index.html`` and prints it. Other files in the folder stay. Raises
    InputError when the study cannot be read; nothing is written then.
    """
    uri, study = resolve_uri(config.tracking), study_name(config.data, config.tracking)
    found = results.read(uri, study)
    files = compose(found, uri)
    folder = Path(config.output) / safe_name(study)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        new = Path(temporary) / "new"
        for name, content in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            _log(client(uri, must_exist=True), found.experiment_id, new)
        finally:  # an artifact store out of reach does not cost the local report
            _swap(new, folder, Path(temporary) / "old")
    absent = matrices.missing_cells(matrices.missing(found.frame, found.cells, found.plan))
    print(f"report: {folder / INDEX} ({_missing_text(absent)})")
    return folder / INDEX


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


def _log(server: MlflowClient, experiment_id: str, folder: Path) -> None:
    """Log the folder as artifacts of an analysis run: the one that is open for this process, or a new one."""
    tags = {schema.KIND: schema.KIND_ANALYSIS}
    run_id = inherited_run(server, experiment_id)
    if run_id is None:
        run_id = server.create_run(experiment_id, tags=tags, run_name="analysis").info.run_id
    else:
        for key, value in tags.items():
            server.set_tag(run_id, key, value)
    try:
        server.log_artifacts(run_id, str(folder), "report")
    except BaseException:
        server.set_terminated(run_id, "FAILED")
        raise
    server.set_terminated(run_id, "FINISHED")


# --- what is in the report -----------------------------------------------------------------------


@dataclass(frozen=True)
class StartSection:
    """All numbers of one start: its matrices (with averages), and averages over pairs."""

    name: str
    file: str
    cube: Cube
    mean: pd.DataFrame
    sd: pd.DataFrame
    n: pd.DataFrame
    in_language: Average
    zero_shot: Average

    @property
    def seeds(self) -> int:
        return len(self.cube.seeds)

    @property
    def seeds_text(self) -> str:
        """``3 seeds``, or ``2 to 3 seeds`` where places differ."""
        n = self.cube.statistic("n").to_numpy()
        fewest = int(n[n > 0].min()) if (n > 0).any() else self.seeds
        return (f"{fewest} to " if fewest < self.seeds else "") + tables.count(self.seeds, "seed")


def start_sections(found: StudyResults) -> list[StartSection]:
    """One section per start, in the study's order."""
    sections = []
    for start, (sources, targets) in matrices.axes(found.frame, found.plan, found.languages).items():
        cube = matrices.cube(found.frame, start, sources, targets, SPLIT)
        mean, sd, n = (
            matrices.transfer_matrix(found.frame, start, sources, targets, split=SPLIT, statistic=s, margins=True)
            for s in ("mean", "sd", "n")
        )
        own, others = (matrices.pair_average(cube, pairs(cube)) for pairs in (matrices.in_language, matrices.zero_shot))
        sections.append(StartSection(start, safe_name(start), cube, mean, sd, n, own, others))
    return sections


def compose(found: StudyResults, uri: str) -> dict[str, bytes]:
    """Every file of the report by its name inside the folder."""
    sections = start_sections(found)
    cubes = {section.name: section.cube for section in sections}
    absent = matrices.missing(found.frame, found.cells, found.plan)
    best, relations = matrices.best_sources(cubes), matrices.by_relation(cubes, found.families)
    categories = matrices.by_category(found.frame, matrices.axes(found.frame, found.plan, found.languages), SPLIT)
    texts = {
        "results.csv": tables.csv_text(found.frame),
        "overall.csv": tables.csv_text(found.overall),
        "best_source.csv": tables.csv_text(best),
        "by_relation.csv": tables.csv_text(relations),
        "by_category.csv": tables.csv_text(categories),
        "missing.csv": tables.csv_text(absent),
        "duplicates.csv": tables.csv_text(found.duplicates),
        "cells.csv": tables.csv_text(found.cells),
    }
    for section in sections:
        texts[f"transfer/{section.file}.csv"] = tables.matrix_csv(section.mean)
        texts[f"transfer/{section.file}.sd.csv"] = tables.matrix_csv(section.sd)
    files = {name: text.encode() for name, text in texts.items()} | figures(sections)
    files[INDEX] = _page(found, uri, sections, absent, best, relations, categories, files).encode()
    return dict(sorted(files.items()))


def figures(sections: list[StartSection]) -> dict[str, bytes]:
    """Heat maps of every start, and of what the others gain over the first; PNG and PDF by file name."""
    files = {}
    limits = matrices.limits(section.mean for section in sections)
    drawn = {
        f"figures/{s.file}": plots.heatmap(
            s.mean, s.sd, f"start {s.name}", f"F1 (%), {SPLIT}, mean of {s.seeds_text}", limits
        )
        for s in sections
    }
    first, *others = sections
    differences = {s.file: (s.name, s.mean - first.mean.reindex_like(s.mean)) for s in others}
    low, high = matrices.limits(difference for _, difference in differences.values())
    reach = max(abs(low), abs(high))
    for file, (name, difference) in differences.items():
        drawn[f"figures/{file}-minus-{first.file}"] = plots.heatmap(
            difference, None, f"{name} minus {first.name}", f"difference in F1 (percentage points), {SPLIT}",
            (-reach, reach), diverging=True,
        )  # fmt: skip
    for name, figure in drawn.items():
        files[f"{name}.png"], files[f"{name}.pdf"] = plots.png(figure), plots.pdf(figure)
    return files


# --- the page ----------------------------------------------------------------------------------------


def _page(
    found: StudyResults,
    uri: str,
    sections: list[StartSection],
    absent: pd.DataFrame,
    best: pd.DataFrame,
    relations: pd.DataFrame,
    categories: pd.DataFrame,
    files: Mapping[str, bytes],
) -> str:
    """``index.html``: one file, images inside, nothing fetched from anywhere."""
    limits = matrices.limits(section.mean for section in sections)
    first = sections[0]
    images = {
        name.removesuffix(".png"): f"data:image/png;base64,{base64.b64encode(content).decode()}"
        for name, content in files.items()
        if name.endswith(".png")
    }
    grids = {
        s.name: tables.grid(s.mean, s.sd, s.n, s.seeds, limits, matrices.zero_shot_averages(s.cube.statistic("mean")))
        for s in sections
    }
    cells = matrices.missing_cells(absent)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"num": tables.number, "spread": tables.spread, "listing": tables.listing}
    return environment.get_template("report.html.j2").render(
        study=found.study,
        split=SPLIT,
        all=ALL,
        count=tables.count,
        sections=sections,
        first=first,
        grids=grids,
        images=images,
        languages=found.languages,
        families=found.families,
        planned=found.planned,
        plan=found.plan,
        missing=_records(cells.head(LISTED_CELLS)),
        missing_text=_missing_text(cells),
        missing_cells=len(cells),
        duplicates=_records(found.duplicates),
        identical=matrices.identical_cells(found.frame),
        unequal=_unequal_seeds(matrices.seed_counts(found.frame)),
        tiles=_tiles(sections),
        listed_targets=LISTED_TARGETS,
        warnings=found.warnings,
        best=_records(best),
        highlights=highlights(sections),
        relations=_records(relations),
        categories=_categories(categories),
        modes=_modes(found, sections),
        cells=_records(found.cells),
        run_url=_run_url(uri, found.experiment_id),
        uri=public_uri(uri),
        files=[*sorted(files), INDEX],
        href=quote,
        resamples=matrices.RESAMPLES,
        confidence=round(100 * matrices.CONFIDENCE),
    )


def _records(frame: pd.DataFrame) -> list[dict]:
    return frame.to_dict("records")


def _missing_text(cells: pd.DataFrame) -> str:
    """``nothing missing``, or how many cells, with their reasons."""
    if not len(cells):
        return "nothing missing"
    reasons = cells["reason"].value_counts(sort=False)
    parts = [f"{n} {reason}" for reason, n in sorted(reasons.items())]
    return f"{tables.count(len(cells), 'cell')} missing: {', '.join(parts)}"


def _unequal_seeds(seeds: pd.DataFrame) -> str:
    """How many seeds which ``start-source`` has, where that is not the same for all; else nothing."""
    groups: dict[int, list[str]] = {}
    for start, source, n in seeds.itertuples(index=False, name=None):
        groups.setdefault(int(n), []).append(f"{start}-{source}")
    if len(groups) < 2:
        return ""
    common = max(groups, key=lambda n: (len(groups[n]), n))
    rare = [f"{tables.count(n, 'seed')} for {tables.listing(groups[n])}" for n in sorted(groups) if n != common]
    return f"{'; '.join(rare)}; {tables.count(common, 'seed')} for the others"


def _tiles(sections: list[StartSection]) -> list[StartSection]:
    """The starts whose averages open the page: the first, and the best at zero-shot transfer if that is another."""
    best = highlights(sections)["start"]
    return [sections[0]] if best is None or best[1] is sections[0] else [sections[0], best[1]]


def highlights(sections: list[StartSection]) -> dict[str, tuple | None]:
    """The largest numbers of the study: best start, best source over all zero-shot targets, best single pair."""
    starts = [(s.zero_shot.mean, s) for s in sections if s.zero_shot.n]
    sources, pairs = [], []
    for s in sections:
        mean = s.cube.statistic("mean")
        rows, _ = matrices.zero_shot_averages(mean)
        sources += [(float(value), s.name, source) for source, value in rows.items() if value == value]
        scored = ((float(mean.loc[a, b]), s.name, a, b) for a, b in matrices.zero_shot(s.cube))
        pairs += [pair for pair in scored if pair[0] == pair[0]]
    # the first of equals: the order of the study, not of names
    return {
        "start": max(starts, key=lambda item: item[0], default=None),
        "source": max(sources, key=lambda item: item[0], default=None),
        "pair": max(pairs, key=lambda item: item[0], default=None),
    }


def _categories(categories: pd.DataFrame) -> list[tuple[str, dict[tuple[str, str], dict]]]:
    """Category, and its row by (start, setting); all categories together first."""
    return [
        (str(category), {(row["start"], row["setting"]): row for row in _records(rows)})
        for category, rows in categories.groupby("category", sort=False)
    ]


def _modes(found: StudyResults, sections: list[StartSection]) -> list[dict]:
    """Zero-shot and in-language means of default, strict and span F1 and of the rate of invalid tags, by start."""
    rows = []
    for s in sections:
        measures = {}
        for measure in ("strict_f1", "span_f1", "invalid_tag_rate"):
            measures[measure] = matrices.cube(
                found.overall, s.name, s.cube.sources, s.cube.targets, SPLIT, measure=measure
            )
        for setting, pairs in matrices.SETTINGS.items():
            if pairs(s.cube):
                averages = {name: matrices.pair_average(cube, pairs(cube)) for name, cube in measures.items()}
                default = s.in_language if pairs is matrices.in_language else s.zero_shot
                rows.append({"start": s.name, "setting": setting, "f1": default} | averages)
    return rows


def _run_url(uri: str, experiment_id: str) -> str:
    """Address of a run's page up to its id; empty for a store without pages."""
    if not uri.startswith(("http://", "https://")):
        return ""
    return f"{public_uri(uri).rstrip('/')}/#/experiments/{experiment_id}/runs/"
