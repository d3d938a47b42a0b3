"""Composes the page of a study from what was computed: what `analysis.report.html.page` renders. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from analysis.report.html.page_data import Matrix, Page, Section, pictured, with_numbers
from analysis.report.sections import adaptation, answer, choice, reasons, scores, summary
from analysis.report.study_analysis import SPLIT, Computed
from analysis.transfer.views import View
from nertransfer.core.grid import is_language, is_several
from nertransfer.core.text import count
from nertransfer.corpora.languages import LANGUAGES


def page(
    computed: Computed,
    file_of: Callable[[str, str], Mapping[str, str]],
    pictures: Mapping[str, str],
    images: Mapping[str, bytes],
    run_url: str,
    uri: str,
    files: Sequence[str],
) -> Page:
    """The page. ``file_of``: of a view and a category the matrix's files by what they hold; ``pictures``: caption by
    stem of the figure's files."""
    found = computed.found
    runs: dict[str, list[tuple[int, str]]] = {}
    used = found.cells[found.cells["used"]]
    for start, source, seed, run in used[["start", "source", "seed", "run_id"]].itertuples(index=False, name=None):
        runs.setdefault(f"{start}-{source}", []).append((int(seed), run))
    sections = [
        choice.pretraining(computed, pictures),
        choice.best(computed),
        choice.systems(computed),
        adaptation.claims(computed),
        choice.several(computed),
        choice.few_shot(computed, pictures),
        choice.ranking(computed),
        scores.categories(computed),
        reasons.overlap(computed, pictures),
        reasons.representations(computed, pictures),
        reasons.errors(computed, pictures),
        scores.certainty(computed),
        scores.cards(computed),
        answer.unused(computed),
        _figures(pictures),
    ]
    return Page(
        study=found.study,
        answer=answer.answer(computed),
        lead=(
            "Cross-lingual transfer in named entity recognition: "
            f"{', '.join([count(len(found.plan['starts']), 'start'), *_sources_text(found.plan['sources'])])}, "
            f"{count(len(found.plan['targets']), 'target language')}, {count(len(found.plan['seeds']), 'seed')}. "
            f"Scores are entity-level micro F1 in percent on the {SPLIT} splits."
        ),
        findings=computed.findings,
        summary=summary.summary(computed),
        tiles=summary.tiles(computed),
        matrices=[_matrix(computed, view, file_of) for view in computed.pictured],
        reference=computed.reference,
        sections=[
            replace(section, listings=[with_numbers(listing) for listing in section.listings])
            for section in sections
            if section is not None
        ],
        reading=READING,
        runs=runs,
        run_url=run_url,
        uri=uri,
        images=images,
        files=files,
        languages={name: LANGUAGES[name].name for name in found.languages if name in LANGUAGES},
    )


def _sources_text(sources: Sequence[str]) -> list[str]:
    """``7 source languages``, ``7 source languages and 2 sources of several``, alone; nothing without a source."""
    several, single = sum(map(is_several, sources)), sum(map(is_language, sources))
    texts = [count(single, "source language")] if single else []
    texts += [f"{count(several, 'source')} of several languages"] if several else []
    return [" and ".join(texts)] if texts else []


def _matrix(computed: Computed, view: View, file_of: Callable[[str, str], Mapping[str, str]]) -> Matrix:
    own = {row: [target for target in view.targets if view.is_own(row, target)] for row in view.rows}
    statistics_of = {}
    for category, one in computed.matrices[view.name].items():
        frames = {name: one.inner(name) for name in ("mean", "sd", "n")}
        limits = {name: frame for name in ("low", "high") if (frame := getattr(one, name)) is not None}
        statistics_of[category] = frames | limits
    rows = [] if view.kind == "languages" else view.rows  # there, a row has a configuration for every target
    configurations = {row: "-".join(view.configuration(row)) for row in rows}
    files = {category: file_of(view.name, category) for category in statistics_of}
    return Matrix(
        view.name, view.title, view.row_name, view.rows, view.targets, own, configurations, statistics_of, files,
        {row: [view.configuration(row)[0]] for row in rows if view.configuration(row)[0] in view.targets},
    )  # fmt: skip


def _figures(pictures: Mapping[str, str]) -> Section | None:
    elsewhere = ("figures/pretraining", "figures/overlap", "figures/overlap-matrix", "figures/seen")
    shown = [
        stem
        for stem in pictures
        if stem not in elsewhere and not stem.startswith((reasons.REPRESENTATIONS, choice.FEW_SHOT_FIGURE))
    ]
    if not shown:
        return None
    text = (
        "For papers: PDF with embedded fonts and without a title, as wide as a page's text; heat maps also as wide as "
        "one of two columns (<name>-column.pdf). Every number is in the CSV files."
    )
    return Section("figures", "Figures", [text], [], pictured(pictures, *shown))


READING = [
    ("start", "The checkpoint that fine-tuning began from; own: the one that was adapted to the source language."),
    ("source, target", "The language whose train split was fine-tuned on, and the one whose test split is scored. "
     "Zero-shot: they differ. The outlined places have the source, or one of its languages, as target."),
    ("F1", "An entity counts when its first word, last word and category agree (CoNLL-2003; seqeval's default mode). "
     "Micro: over all entities of the split."),
    ("±", "Half of the 95 % interval of the mean."),
    ("sd", "Standard deviation over seeds (n - 1; in the published style n for matrices, pre-training and categories)"
     ": how much a single run varies."),
    ("interval", "95 %, for the mean over seeds: other seeds (Student's t; moderated if seeds are few) and other test "
     "sentences (bootstrap) together; other seeds alone where entities are not counted by sentence. With one seed: "
     "other sentences alone, for that very model."),
    ("p (Holm)", "The probability of such a difference if there were none, corrected for all tests of the file."),
    ("zero-shot, in-language", "As last row and columns: the mean over the places where the target is not among the "
     "source's languages, and over the others; n/a where a number is missing. Of sds on this page it is their mean; "
     "transfer/*.sd.csv has the sd of the average."),
]  # fmt: skip
