"""The figures of a report: which are drawn, from what, with which notes."""

from concurrent.futures import Future

import numpy as np
import pandas as pd

from analysis.embeddings import alignment
from analysis.embeddings.alignment import Representations
from analysis.report import background
from analysis.report.background import Drawing, Encoded
from analysis.report.sections import choice
from analysis.report.sections import reasons as reason_sections
from analysis.report.study_analysis import SPLIT, Computed, averaged, minus_reference
from analysis.transfer import association, matrices
from nertransfer.core.files import safe_name
from nertransfer.core.schema import ALL
from nertransfer.core.text import count

PAIRS = "each point is a source and a target, named where there is room"


def figures(done: Computed) -> "tuple[dict[str, Future[Encoded]], dict[str, str]]":
    """Figures that are being drawn, and their captions, by the stem of their files; `error_figures` are apart."""
    wide = [view for view in done.pictured if view.wide] or done.views[:1]
    limits = matrices.limits(done.matrices[view.name][ALL].mean for view in wide)
    drawn: dict[str, Drawing] = {}
    captions = {}
    for view in wide:
        one, stem = done.matrices[view.name][ALL], f"figures/{safe_name(view.name)}"
        own_row = view.configuration(view.rows[0])[1] if view.kind == "pivot" and view.rows else ""
        shown = _seeds_text(one.inner("n").to_numpy())
        label = f"F1 (%), {SPLIT}, mean of {shown}" + ("" if done.published else ", ± half of the 95 % interval")
        options = {"row_name": view.row_name, "own_row": own_row}
        spread = one.sd if done.published else one.half
        drawn[stem] = Drawing("heatmap", (one.mean, spread, view.title, label, limits), options)
        captions[stem] = f"Mean F1 in percent: {view.title}, {shown}"
    others = {view.name: minus_reference(done, view, ALL) for view in wide if view.kind != "languages"}
    less = {name: frame for name, frame in others.items() if frame is not None and frame.notna().any(axis=None)}
    low, high = matrices.limits(less.values())
    reach = max(abs(low), abs(high))
    for name, frame in less.items():
        stem = f"figures/{safe_name(name)}-minus-{safe_name(done.reference)}"
        view = next(view for view in wide if view.name == name)
        title = f"{view.title if view.kind == 'pivot' else name} minus {done.reference}"
        label = f"difference in F1 (percentage points), {SPLIT}"
        own_row = view.configuration(view.rows[0])[1] if view.kind == "pivot" and view.rows else ""
        less_options = {"row_name": view.row_name, "own_row": own_row, "diverging": True}
        arguments: tuple[object, ...] = (averaged(done, view, frame), None, title, label, (-reach, reach))
        drawn[stem] = Drawing("heatmap", arguments, less_options)
        captions[stem] = f"Difference in F1, percentage points: {title}"
    for category, one in done.matrices[wide[0].name].items() if wide else ():
        if category != ALL and one.mean.notna().any(axis=None):
            stem = f"figures/{safe_name(wide[0].name)}-{safe_name(category)}"
            label = f"F1 (%) of {category}, {SPLIT}"
            arguments = (one.mean, None, f"{wide[0].title}, {category}", label, (0.0, 100.0))
            drawn[stem] = Drawing("heatmap", arguments, {"row_name": wide[0].row_name})
            captions[stem] = f"Mean F1 of {category} in percent: {wide[0].title}"
    if done.pretraining["mean"].notna().any():
        label = f"F1 (%), {SPLIT}, 95 % interval"
        title = "Fine-tuned and scored on one language"
        arguments = (done.pretraining, "language", "role", title, label, _notes(done.pretraining))
        drawn["figures/pretraining"] = Drawing("intervals", arguments)
        captions["figures/pretraining"] = f"In-language F1 by start, with 95 % intervals ({done.interval})"
    for (start, target), part in done.learning_curves.groupby(["start", "target"], sort=False):
        stem = f"{choice.FEW_SHOT_FIGURE}{safe_name(f'{start}-{target}')}"
        title = f"A few labelled sentences of {target}, start {start}"
        part = part.rename(columns={"f1": "mean"}).assign(series=choice.lines(part))
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
        shared = 100 * points.pivot(index="source", columns="target", values="overlap")
        languages = [name for name in done.found.languages if name in shared.index or name in shared.columns]
        shared = shared.reindex(
            index=[name for name in languages if name in shared.index],
            columns=[name for name in languages if name in shared.columns],
        )
        label = "shared entity tokens (%)"
        arguments = (shared, None, "Shared entity tokens", label, matrices.limits([shared]))
        drawn["figures/overlap-matrix"] = Drawing("heatmap", arguments)
        captions["figures/overlap-matrix"] = (
            "Entity tokens of the target's test split that the source's train split has"
        )
        captions["figures/overlap"] = f"Zero-shot F1 against overlap: {PAIRS}"
    if done.representations is not None:
        more, captions_of_more = _representation_figures(done, done.representations)
        drawn, captions = drawn | more, captions | captions_of_more
    return background.begun(drawn), captions


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
    return background.begun({stem: Drawing("intervals", arguments)}), {stem: caption}


def _representation_figures(done: Computed, found: Representations) -> tuple[dict[str, Drawing], dict[str, str]]:
    """Drawings and captions by stem: projections, alignment as a matrix, alignment against F1."""
    drawn, captions = {}, {}
    for one in found.arrangements:
        stem = f"{reason_sections.REPRESENTATIONS}{safe_name(one.name)}"
        words = one.points.drop_duplicates(["language", "category"])["words"].sum()
        title = f"{one.title} (n = {words:,} words)"
        arguments: tuple[object, ...] = (one.points, title, one.projection.explained, one.projection.stress)
        drawn[stem] = Drawing("projections", arguments)
        captions[stem] = f"{one.title}: centres of {len(one.points)} groups of words, by PCA and by MDS"
    for stage in alignment.STAGES:
        matrix = alignment.alignment_matrix(found.alignment, done.reference, stage)
        if matrix.notna().sum(axis=None) < 4:
            continue
        languages = [name for name in matrix.columns if name in matrix.index]
        stem, what = f"{reason_sections.REPRESENTATIONS}alignment-{safe_name(stage)}", alignment.STAGES[stage]
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
        if not len(points):
            continue
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
