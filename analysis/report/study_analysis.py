"""Everything that the report of a study shows, computed at once from what was read. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.audit import audit, unused
from analysis.audit.finding import Finding
from analysis.embeddings import alignment
from analysis.embeddings.alignment import Representations
from analysis.ranking import judging, pairs
from analysis.reading.results import StudyResults
from analysis.reading.sentence_counts import SentenceCounts
from analysis.reading.vectors import Embedded
from analysis.report import sensitivity
from analysis.report.html.error_pages import ErrorReport
from analysis.statistics import mixed_model
from analysis.statistics.tables import listing
from analysis.transfer import (
    answers,
    association,
    beyond_one_source,
    categories,
    chosen_models,
    claims,
    inference,
    matrices,
    overlap,
    pretraining,
    systems,
    verdicts,
)
from analysis.transfer.matrices import Cube
from analysis.transfer.verdicts import Verdicts
from analysis.transfer.views import View, views
from nertransfer.core.errors import InputError
from nertransfer.core.grid import BASE, is_language, is_several, is_zero_shot
from nertransfer.core.schema import ALL
from nertransfer.corpora.corpus import Corpus

SPLIT = "test"
ONE_SEED = f"not tested: {inference.ONE_SEED}"
MODERATED = "moderated t over seeds"
UNKNOWN = "not known: one seed, and no entities counted by sentence"


@dataclass(frozen=True)
class Matrices:
    """One view in one category, in percent: rows and targets, with so many rows and columns of averages behind
    (``margins``; `matrices.MARGINS`) except in ``low`` and ``high``, the limits of the 95 % intervals. Targets without
    the category are not there."""

    mean: pd.DataFrame
    sd: pd.DataFrame
    n: pd.DataFrame
    margins: tuple[int, int] = (1, 1)
    low: pd.DataFrame | None = None
    high: pd.DataFrame | None = None

    @property
    def half(self) -> pd.DataFrame:
        """Half of the 95 % interval of every mean, NaN where there is none and for averages."""
        if self.low is None or self.high is None:
            return self.mean * np.nan
        return ((self.high - self.low) / 2).reindex(index=self.mean.index, columns=self.mean.columns)

    def inner(self, name: str) -> pd.DataFrame:
        """``mean``, ``sd`` or ``n`` without averages."""
        frame: pd.DataFrame = getattr(self, name)
        rows, columns = self.margins
        return frame.iloc[: len(frame) - rows, : len(frame.columns) - columns]


@dataclass(frozen=True)
class Overlap:
    """What two languages' entities have in common, and whether transfer goes with it.

    ``published`` by category, counts; ``table`` of `overlap.overlaps`; ``points``: the dyads of the reference start
    under ``measure``."""

    published: dict[str, pd.DataFrame]
    table: pd.DataFrame
    exposure: pd.DataFrame
    associations: pd.DataFrame
    points: pd.DataFrame
    measure: str


@dataclass(frozen=True)
class Ranking:
    """`judging.Judged` of every start that is compared: ``table`` and ``left_out`` with a column ``start`` in front.

    ``chosen`` by start; ``words``: what was used and what was left out."""

    table: pd.DataFrame
    left_out: pd.DataFrame
    chosen: dict[str, str]
    words: list[str]


@dataclass(frozen=True)
class Computed:
    """The analysis of a study: ``found`` is all of it, everything else rests on what the ``verdicts`` leave, and
    ``consequences`` says what they change. ``answers``: the best start and source of every target (``setting``:
    zero-shot, or in-language where nothing else was scored); ``systems``: those whose predictions were imported, beside
    the best that was fine-tuned; ``adapted`` and ``adaptation``: what adapting a start to
    the target brings. ``matrices`` by view and category; ``reference``: the start that others are compared with;
    ``overlap`` and ``errors``: None where the corpora are not at hand, ``errors`` also without predictions;
    ``ranking``: or why there is none; ``representations``: None where nothing is embedded; ``learning_curves`` and
    ``saved`` of `few_shot`, empty without such cells; ``ddof``: of the sds in ``matrices``, ``pretraining`` and
    ``in_language``."""

    found: StudyResults
    verdicts: Verdicts
    consequences: pd.DataFrame
    setting: str
    answers: pd.DataFrame
    systems: pd.DataFrame
    adapted: pd.DataFrame
    adaptation: pd.DataFrame
    views: list[View]
    cubes: dict[str, Cube]
    categories: list[str]
    matrices: dict[str, dict[str, Matrices]]
    reference: str
    missing: pd.DataFrame
    best: pd.DataFrame
    relations: pd.DataFrame
    by_category: pd.DataFrame
    intervals: pd.DataFrame
    differences: pd.DataFrame
    start_averages: pd.DataFrame
    in_language_averages: pd.DataFrame
    start_pairs: pd.DataFrame
    ranks: pd.DataFrame
    agreement: pd.DataFrame
    seeds: pd.DataFrame
    mixed: mixed_model.MixedModel
    claims: pd.DataFrame
    roles: list[str]
    pretraining: pd.DataFrame
    in_language: pd.DataFrame
    cards: pd.DataFrame
    overlap: Overlap | None
    ranking: Ranking | str
    representations: Representations | None
    multi_source: pd.DataFrame
    learning_curves: pd.DataFrame
    saved: pd.DataFrame
    ddof: int
    findings: list[Finding]
    errors: ErrorReport | None = None

    @property
    def published(self) -> bool:
        """Whether all is as the first study did it."""
        return self.ddof == 0

    @property
    def interval(self) -> str:
        """What the intervals of means, and the chances of sources of being the best, come from, in words."""
        return _over(self.intervals, "Student's t over seeds", "a bootstrap of sentences")

    @property
    def test(self) -> str:
        """What p and the intervals of differences come from, in words."""
        one_seed = self.intervals["n_seeds"].max() == 1 and not self.found.without_seed
        return ONE_SEED if one_seed else _over(self.intervals, "Welch's t over seeds", "a bootstrap of sentences")

    @property
    def two_sided(self) -> str:
        """What p comes from, and that it is two-sided, in words."""
        return self.test if self.test == ONE_SEED else f"two-sided, {self.test}"

    @property
    def left_out(self) -> list[str]:
        """What analyses of pairs of languages say of sources of several."""
        if not self.several:
            return []
        return [f"Sources of several languages ({listing(self.several)}) are left out here: they are no language."]

    @property
    def several(self) -> list[str]:
        """The sources of several languages; analyses of pairs of languages leave them out."""
        return [name for name in self.found.languages if is_several(name)]

    @property
    def pictured(self) -> list[View]:
        """The views that are shown as matrices: one of all starts where nothing was scored zero-shot."""
        return [view for view in self.views if view.kind == "languages"] or self.views

    @property
    def starts(self) -> list[View]:
        """The views of the starts that are compared: those tried on most sources, or all where none was."""
        return _compared(self.views)


@dataclass(frozen=True)
class Basis:
    """What the analysis of a study rests on.

    ``found``: all its results; ``verdicts`` on them; ``kept``: those that are used; ``shown``: the `views` of these;
    ``reference``: the start that others are compared with.
    """

    found: StudyResults
    verdicts: Verdicts
    kept: StudyResults
    shown: list[View]
    reference: str


def basis(found: StudyResults, published: bool = False, whole: StudyResults | None = None) -> Basis:
    """What is used of a study; ``published``: all of it, as the first study did. ``whole``: the study that ``found`` is
    a part of, for verdicts rest on all of it."""
    every = found if whole is None else whole
    judged = verdicts.none() if published else verdicts.within(verdicts.verdicts(every.frame, SPLIT), found)
    kept = verdicts.without(found, judged)
    shown = views(kept.frame, kept.plan, kept.languages)
    return Basis(found, judged, kept, shown, _reference_of(kept, shown))


@dataclass(frozen=True)
class Beside:
    """What is known of a study beside its scores.

    ``counts`` by target may lack some or all: intervals are then over seeds alone. ``corpora``: or why there are none.
    ``imports`` and ``embedded``: what `reading.files` gives.
    """

    counts: Mapping[str, SentenceCounts]
    corpora: Mapping[str, Corpus] | str
    imports: Mapping[str, pd.DataFrame]
    embedded: tuple[pd.DataFrame, Iterable[Embedded]] | None = None


def compute(
    basis: Basis,
    beside: Beside,
    published: bool = False,
    selection_split: str = "dev",
) -> Computed:
    """Analyse a study.

    ``basis``: of the function of that name. ``published``: as the first study did, sd with ddof=0 and best seeds chosen
    on test. Targets whose F1 is `matrices.undefined` are in nothing but the findings; raises
    InputError where all are. Whoever calls this fills in ``errors``.
    """
    found, reference, corpora, embedded = basis.kept, basis.reference, beside.corpora, beside.embedded
    ddof, selection = (0, "test") if published else (1, selection_split)
    undefined = matrices.undefined(found.frame, SPLIT)
    frame = matrices.defined(found.frame, SPLIT, undefined)
    if not (frame["split"] == SPLIT).any() and undefined:
        raise InputError(f"no target of study {found.study!r} has an entity in its {SPLIT} split: F1 is not defined")
    shown = [view.less(undefined) for view in basis.shown]
    lacking = _lacking(frame)
    names = list(lacking)
    dropped, without_seed = basis.verdicts.dropped, found.without_seed
    samples = inference.samples(frame, beside.counts, SPLIT, dropped=dropped, without_seed=without_seed)
    intervals = inference.intervals(samples)
    differences = inference.differences(samples, reference)
    cubes = {view.name: view.cube(SPLIT) for view in shown}
    starts = {view.name: cubes[view.name] for view in _compared(shown)}
    roles = pretraining.roles(found.plan["pairs"])
    limits = _limits(intervals)
    every = pd.concat([frame, found.unions], ignore_index=True) if len(found.unions) else frame
    cards = chosen_models.rows(every, found.languages, selection, published)
    few = beyond_one_source.scores(frame, matrices.defined(found.few_shot.frame, SPLIT, undefined), SPLIT)
    zero_shot = any(is_zero_shot(*pair) for pair in set(zip(frame["source"], frame["target"], strict=True)))
    setting = matrices.ZERO_SHOT if zero_shot else matrices.IN_LANGUAGE
    adapted = answers.adapted_to_target(frame, differences, reference, SPLIT)
    return Computed(
        found=basis.found,
        verdicts=basis.verdicts,
        consequences=sensitivity.consequences(basis.found, found, reference, SPLIT)
        if not basis.verdicts.empty
        else pd.DataFrame(columns=sensitivity.COLUMNS),
        setting=setting,
        answers=answers.best_pairs(samples, found.plan["pairs"], reference, SETTING_FITS[setting], found.systems),
        systems=systems.compared(samples, found.systems, found.unaligned, SPLIT),
        adapted=adapted,
        adaptation=answers.adaptation_effect(adapted, reference),
        views=shown,
        cubes=cubes,
        categories=names,
        matrices={
            view.name: {name: _matrices(view, name, ddof, limits, without) for name, without in lacking.items()}
            for view in shown
        },
        reference=reference,
        missing=audit.missing_scores(basis.found),
        best=_best_sources(starts, intervals),
        relations=matrices.by_relation(starts, found.families),
        by_category=matrices.by_category(
            frame, {view.name: (view.rows, view.targets) for view in _compared(shown)}, SPLIT
        ),
        intervals=intervals,
        differences=differences,
        start_averages=_start_averages(samples, starts, matrices.zero_shot, reference),
        in_language_averages=_start_averages(samples, starts, matrices.in_language, reference),
        start_pairs=answers.start_pairs(
            samples,
            list(starts) if reference != BASE else [],
            matrices.common(starts.values(), matrices.SETTINGS[setting]),
        ),
        ranks=inference.source_ranks(samples, list(starts)),
        agreement=inference.rank_agreement(starts),
        seeds=inference.seeds_needed(starts, samples),
        mixed=inference.mixed_model(frame, SPLIT),
        claims=claims.table(frame, beside.counts, names, found.plan["pivots"], reference, SPLIT, dropped=dropped),
        roles=roles,
        pretraining=_pretraining(replace(found, frame=frame), roles, intervals, differences, reference, ddof),
        in_language=categories.by_start(frame, roles, SPLIT, ddof, _sources(found), reference),
        cards=cards,
        overlap=_overlap(corpora, shown, cubes, reference, names)
        if not isinstance(corpora, str) and len(corpora) > 1
        else None,
        multi_source=beyond_one_source.compare(starts),
        learning_curves=beyond_one_source.curves(few),
        saved=beyond_one_source.saved(few),
        ranking=_ranking({} if isinstance(corpora, str) else corpora, starts, found.families),
        representations=alignment.compute(
            *embedded, starts, found.families, found.languages, found.plan["pivots"], reference
        )
        if embedded is not None
        else None,
        ddof=ddof,
        findings=sorted(
            [
                *audit.audit(
                    basis.found, beside.imports, corpora, cards, selection, SPLIT, basis.verdicts.configurations
                ),
                *audit.seeds_alone(intervals),
                *unused.unused(basis.verdicts),
            ],
            key=lambda finding: -finding.severity,
        ),
    )


def _reference_of(found: StudyResults, shown: list[View]) -> str:
    """The start that others are compared with: ``base`` where it was scored."""
    scored = set(found.frame["start"])
    return BASE if BASE in scored else next(v.name for v in [*_compared(shown), *shown] if v.name in scored)


SETTING_FITS: dict[str, Callable[[str, str], bool]] = {
    matrices.ZERO_SHOT: is_zero_shot,
    matrices.IN_LANGUAGE: lambda source, target: source == target,
}
"""Which sources are tried for a target where a study has zero-shot scores, and where it has none."""


def _start_averages(
    samples: Mapping[str, inference.Sample],
    starts: Mapping[str, Cube],
    pairs: Callable[[Cube], list[tuple[str, str]]],
    reference: str,
) -> pd.DataFrame:
    """`inference.start_averages` over the pairs that all starts have."""
    return inference.start_averages(samples, list(starts), matrices.common(starts.values(), pairs), reference)


def error_groups(shown: list[View]) -> dict[str, list[tuple[str, str]]]:
    """The (start, source) that the summaries of errors are over: the starts that are compared, and ``own``."""
    chosen = [*_compared(shown), *(view for view in shown if view.kind == "own")]
    return {view.name: [view.configuration(row) for row in view.rows] for view in chosen}


def _compared(shown: list[View]) -> list[View]:
    starts = [view for view in shown if view.kind == "start"]
    return [view for view in starts if view.wide] or starts


def _over(intervals: pd.DataFrame, seeds: str, sentences: str) -> str:
    """``seeds`` and ``sentences`` in words, as far as `inference.intervals` has them; `MODERATED` for few seeds."""
    counted = intervals["sentences_vary"].astype(bool)
    seeds = MODERATED if intervals["moderated"].any() else seeds
    if intervals["n_seeds"].max() == 1:
        where = "" if counted.all() else ", where they are counted"
        return f"bootstrap over sentences alone{where}, for these very models" if counted.any() else UNKNOWN
    if counted.all():
        return f"{seeds} and {sentences}"
    return f"{seeds}, and {sentences} where they are counted" if counted.any() else f"{seeds} alone"


def _best_sources(starts: Mapping[str, Cube], intervals: pd.DataFrame) -> pd.DataFrame:
    """`matrices.best_sources` with the 95 % interval of the best source's F1."""
    limits = intervals.rename(columns={"source": "best_source"})[["start", "best_source", "target", "low", "high"]]
    return matrices.best_sources(starts).merge(limits, how="left", on=["start", "best_source", "target"])


def _limits(intervals: pd.DataFrame) -> dict[tuple[str, str, str], tuple[float, float]]:
    """The limits by (start, source, target)."""
    rows = intervals[["start", "source", "target", "low", "high"]].itertuples(index=False, name=None)
    return {(start, source, target): (low, high) for start, source, target, low, high in rows}


def _sources(found: StudyResults) -> list[str]:
    """The languages that are a source by themselves, in their order."""
    sources = {source for _, source in found.plan["pairs"]} | set(found.frame["source"])
    return [name for name in found.languages if name in sources and is_language(name)]


def _lacking(frame: pd.DataFrame) -> dict[str, set[str]]:
    """By category, `ALL` first, the targets that were scored and do not have it; without those that none has."""
    every = set(frame.loc[(frame["split"] == SPLIT) & (frame["category"] == ALL), "target"])
    there = {name: matrices.having(frame, name, SPLIT) for name in dict.fromkeys(frame["category"])}
    return {ALL: set()} | {name: every - targets for name, targets in there.items() if targets and name != ALL}


def _matrices(
    view: View, category: str, ddof: int, limits: Mapping[tuple, tuple[float, float]], without: Collection[str]
) -> Matrices:
    cube = view.cube(SPLIT, category, without=without)
    own, published = view.own(cube.targets), ddof == 0
    wide = cube.with_averages() if published else cube.with_margins(own)
    n = wide.statistic("n")
    sd = wide.statistic("sd")
    if ddof == 0:  # 0 for one seed, as numpy has it
        sd = (sd * np.sqrt((n - 1) / n.where(n > 0))).where(n != 1, 0.0)
    inner = cube.statistic("mean")
    mean = matrices.with_average(inner) if published else matrices.with_margins(inner, own)
    mean, sd, n = (frame.rename_axis(index=view.row_name) for frame in (mean, sd, n))
    margins = (len(mean) - len(inner), len(mean.columns) - len(inner.columns))
    if category != ALL or not limits:
        return Matrices(mean, sd, n, margins)
    keys = [[(*view.configuration(row, target), target) for target in view.targets] for row in view.rows]
    bounds = [
        pd.DataFrame(
            [[limits.get(key, (np.nan, np.nan))[side] for key in row] for row in keys], view.rows, view.targets
        )
        for side in (0, 1)
    ]
    return Matrices(mean, sd, n, margins, *bounds)


def _pretraining(
    found: StudyResults, roles: list[str], intervals: pd.DataFrame, differences: pd.DataFrame, reference: str, ddof: int
) -> pd.DataFrame:
    """`pretraining.effect` with intervals and p over sentences and seeds."""
    own = intervals[intervals["source"] == intervals["target"]].set_index(["start", "source"])
    apart = differences[differences["source"] == differences["target"]].set_index(["start", "source"])
    resampled = {}
    for language in _sources(found):
        for role in roles:
            key = (pretraining.start_of(role, language), language)
            one = pretraining.Resampled()
            if key in own.index:
                one = one._replace(**own.loc[key, ["low", "high"]])
            if key in apart.index:
                p, p_holm, low, high = apart.loc[key, ["p", "p_holm", "low", "high"]]
                one = one._replace(p=float(p), p_holm=float(p_holm), difference_low=low, difference_high=high)
            resampled[language, role] = one
    return pretraining.effect(found.frame, roles, SPLIT, ddof, resampled, _sources(found), reference)


def _overlap(
    corpora: Mapping[str, Corpus], shown: list[View], cubes: Mapping[str, Cube], reference: str, names: list[str]
) -> Overlap:
    table = overlap.overlaps(corpora)
    there = [name for name in names if name == ALL or name in set(table["category"])]
    published = overlap.published_overlaps(corpora, there)
    measures = association.measures(published[ALL], table)
    means = {v.name: cubes[v.name].statistic("mean") for v in shown if v.kind in ("start", "own") and v.wide}
    means = means or {reference: cubes[reference].statistic("mean")}
    measure = f"{overlap.UNITS[0]}, train to test, share"
    first = reference if reference in means else next(iter(means))
    return Overlap(
        published=published,
        table=table,
        exposure=overlap.train_exposure(table),
        associations=association.associations(means, measures, overlap.training_sizes(corpora)),
        points=association.points(means[first], measures[measure], first),
        measure=measure,
    )


def _ranking(corpora: Mapping[str, Corpus], starts: Mapping[str, Cube], families: Mapping[str, str]) -> Ranking | str:
    """The quick rankers judged on every start that has enough targets; why there is none otherwise.

    Sources of several languages are left out.
    """
    means = {start: cube.statistic("mean") for start, cube in starts.items()}
    means = {start: mean[[is_language(source) for source in mean.index]] for start, mean in means.items()}
    languages = list(dict.fromkeys(name for mean in means.values() for name in (*mean.index, *mean.columns)))
    features = pairs.feature_table(pairs.known_languages(languages, corpora, families))
    judged, words, reasons = {}, [], []
    for start, mean in means.items():
        others = {name: one for name, one in means.items() if name != start}
        found = pairs.pairs(mean, features, start=start, others=others)
        if too_few := pairs.shortage(found):
            reasons.append(too_few)
            continue
        judged[start] = judging.judge(found)
        words += [f"{start}: {text}" for text in [pairs.gaps_in_words(found)] if text]
        if same := judging.without_order(judged[start]):
            words.append(f"{start}: for {listing(same)} all sources have the same F1: there is no order, so no tau-b.")
        features_used = pairs.features_in_words(found)
        words += [features_used] if features_used not in words else []
    if not judged:
        return reasons[0] if reasons else "there is no start to compare sources of"
    table, left_out = (
        pd.concat([getattr(one, name).assign(start=start) for start, one in judged.items()], ignore_index=True)
        for name in ("table", "left_out")
    )
    table, left_out = (frame[["start", *(c for c in frame.columns if c != "start")]] for frame in (table, left_out))
    return Ranking(table, left_out, {start: one.chosen for start, one in judged.items()}, words)


def averaged(computed: Computed, view: View, matrix: pd.DataFrame) -> pd.DataFrame:
    """The places of a view with averages as its means have them."""
    if computed.published:
        return matrices.with_average(matrix)
    return matrices.with_margins(matrix, view.own(matrix.columns))


def minus_reference(computed: Computed, view: View, category: str) -> pd.DataFrame | None:
    """A view less the reference start on the same sources, in points; None for the reference and for pivots.

    A pivot's rows are starts: its row of the reference start is what is taken off there.
    """
    if view.name == computed.reference:
        return None
    mean = computed.matrices[view.name][category].inner("mean")
    if view.kind in ("pivot", "languages"):
        if computed.reference not in mean.index:
            return None
        return mean - mean.loc[computed.reference]
    other = computed.matrices[computed.reference][category].inner("mean")
    return mean - other.reindex(index=mean.index, columns=mean.columns)
