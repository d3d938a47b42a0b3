"""What a reader should know before believing the numbers, worst first. Pure: frames in, findings out."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.audit import corpora as corpus_audit
from analysis.audit.finding import Finding, Severity
from analysis.reading.frames import every_duplicate, with_few_shot
from analysis.reading.results import FEW_SHOT, StudyResults
from analysis.statistics.tables import listing, number
from analysis.transfer import beyond_one_source, matrices
from analysis.transfer.matrices import CELL
from nertransfer.core import grid
from nertransfer.core.grid import FewShot
from nertransfer.core.schema import ALL, F1, SUPPORT
from nertransfer.core.text import count
from nertransfer.corpora.corpus import Corpus
from nertransfer.corpora.labels import categories_of
from nertransfer.studies.published import files as published_files

NEED_CORPORA = "errors, shared entities and checks of the corpora"
"""What a report has only where the corpora can be read."""
FEW_SEEDS = 3
EXAMPLES = 4
"""At most so many names are spelled out in a sentence; the table has them all."""


def audit(
    found: StudyResults,
    imports: Mapping[str, pd.DataFrame],
    corpora: Mapping[str, Corpus] | str,
    cards: pd.DataFrame,
    selection_split: str,
    split: str = "test",
    excluded: Collection[tuple[str, str]] = (),
) -> list[Finding]:
    """Every finding about a study, worst first.

    ``imports``: tables ``unfit`` and ``disagreements`` of an import, where there was one. ``corpora``: or why they are
    not at hand. ``cards``: `analysis.transfer.chosen_models.rows`, with the inflation of choosing seeds on test.
    ``excluded``: (start, source) that no mean is of.
    """
    findings = [
        *missing_cells(found),
        *beyond_the_import(found),
        *unplanned_cells(found),
        *without_entities(found, split),
        *names_of_categories(found, {} if isinstance(corpora, str) else corpora, split),
        *unread_words(found, split),
        *strings_nowhere(found, split),
        *without_seed(found),
        *nothing_found(found),
        *identical_predictions(found, excluded),
        *unfit(imports),
        *disagreements(imports),
        *inconsistent_runs(found),
        *unequal_seeds(found),
        *duplicates(found),
        *invalid_tags(found, split),
        *selection_on_test(cards, selection_split, bool(found.imported)),
    ]
    if isinstance(corpora, str):
        title = f"{NEED_CORPORA} are left out"
        findings.append(Finding(Severity.NOTE, "", title, corpora))
    else:
        findings += [
            *repeated_sentences(corpora),
            *repeated_inside(corpora),
            *disagreeing_sentences(corpora),
            *stray_gold_tags(corpora),
        ]
    return sorted(findings, key=lambda finding: -finding.severity)


def _named(cells: Iterable[tuple[str, str, int]]) -> list[str]:
    """Cells, (start, source, seed), as they are called in a sentence."""
    return [f"{start}-{source} seed {seed}" for start, source, seed in cells]


def _some(named: Sequence[str]) -> str:
    """The first few names, in words."""
    return listing([*named[:EXAMPLES], *(["others"] if len(named) > EXAMPLES else [])])


def missing_scores(found: StudyResults) -> pd.DataFrame:
    """`matrices.missing` of a study; of imported results only what such results ever have.

    Dev was scored in the source language alone, where it was; baselines were scored on nothing but their source. Where
    cells with a few sentences of a target are planned, those that are missing follow, with columns of their own.
    """
    absent = matrices.missing(found.frame, found.cells, found.plan, found.systems)
    if found.imported:
        own, there = absent["source"] == absent["target"], found.frame
        zero_shot = bool((there["source"] != there["target"]).any())
        dev = bool((there["split"] == "dev").any())
        absent = absent[np.where(absent["split"] == "dev", own & dev, own | zero_shot)]
    few = found.few_shot
    if not few.plan:
        return absent.reset_index(drop=True)
    return with_few_shot(absent, beyond_one_source.missing(few.frame, few.cells, few.plan, found.plan["seeds"]))


def missing_cells(found: StudyResults) -> list[Finding]:
    """Planned cells and scores that are not there."""
    absent = missing_scores(found)
    cells = matrices.missing_cells(absent)
    if not len(cells):
        return []
    reasons = cells["reason"].value_counts(sort=False).sort_index()
    parts = ", ".join(f"{n} {reason}" for reason, n in reasons.items())
    what = f"{count(len(absent), 'score')} of {count(len(cells), 'planned cell')} ({parts})"
    text = f"{what}; averages over them are shown as n/a"
    there = set(found.frame[["start", "source"]].itertuples(index=False, name=None))
    nothing = [f"{start}-{source}" for start, source in found.plan["pairs"] if (start, source) not in there]
    if nothing:
        text += f". {count(len(nothing), 'configuration')} without any result: {_some(nothing)}"
    incomplete = int((cells["reason"] == "not scored").sum())
    titles = [(len(cells) - incomplete, "missing"), (incomplete, "without some scores")]
    title = " and ".join(f"{count(n, 'cell')} {what}" for n, what in titles if n)
    return [Finding(Severity.WRONG, "missing", title, text, absent)]


def beyond_the_import(found: StudyResults) -> list[Finding]:
    """Configurations of the published plan of NERTransfer that are in none of the results that were imported."""
    there = set(found.frame[["start", "source"]].itertuples(index=False, name=None)) - found.systems
    published = grid.pairs(published_files.STARTS, published_files.ORDER, published_files.PIVOTS)
    if not found.imported or not there <= set(published) or 2 * len(there) < len(published):
        return []
    rows = [
        pair for pair in published if pair not in there.union(found.plan["pairs"])
    ]  # `missing_cells` has planned ones
    if not rows:
        return []
    named = [f"{start}-{source}" for start, source in rows]
    text = f"{_some(named)}: planned in the published study and not among the results; no table has them"
    title = f"{count(len(rows), 'configuration')} of the published plan without results"
    return [Finding(Severity.NOTE, "unpublished", title, text, pd.DataFrame(rows, columns=["start", "source"]))]


def unplanned_cells(found: StudyResults) -> list[Finding]:
    """Cells with scores that the latest study did not ask for: of an earlier one, or of `train`."""
    cells = found.frame[CELL].drop_duplicates(ignore_index=True)
    pairs = pd.MultiIndex.from_frame(cells[["start", "source"]])
    planned = pairs.isin(found.plan["pairs"]) & cells["seed"].isin(found.plan["seeds"])
    rows = cells[~(planned | pairs.isin(list(found.systems)))].reset_index(drop=True)
    if not found.planned or not len(rows):
        return []
    named = _named(rows.itertuples(index=False, name=None))
    text = (
        f"{_some(named)}: asked for before the latest study, or alone. Tables and corrections of p take them in, but "
        "no start that is not planned is compared as a whole; who does not want them deletes their runs in MLflow"
    )
    return [Finding(Severity.NOTE, "unplanned", f"{count(len(rows), 'cell')} beyond the plan", text, rows)]


def without_entities(found: StudyResults, split: str) -> list[Finding]:
    """Targets whose split has no gold entity: there is nothing to find, and F1 is not defined."""
    empty = matrices.undefined(found.frame, split)
    if not empty:
        return []
    text = (
        f"the {split} split of {_some(empty)} has no entity: F1 is not defined there, though stored as 0. Matrices, "
        "averages and tests are without; results.csv has what was stored"
    )
    rows = pd.DataFrame({"target": empty, "split": split, "f1": "undefined"})
    return [Finding(Severity.WRONG, "undefined", f"{count(len(empty), 'target')} without entities", text, rows)]


def nothing_found(found: StudyResults) -> list[Finding]:
    """Cells that find no entity right on any target, their own source included."""
    rows = _that_learnt_nothing(found.frame)
    if not len(rows):
        return []
    unread = _unread_sources(found)
    learning = found.frame[(found.frame["category"] == ALL) & (found.frame[F1] > 0)]
    others = set(learning["start"])
    sources = rows.groupby(["start", "source"], sort=False).size()
    seeds = matrices.seed_counts(found.frame).set_index(["start", "source"])["seeds"]
    told: dict[str, list[tuple[str, str, int]]] = {}
    for start, source, seed in rows.itertuples(index=False, name=None):
        if (start, source) in found.systems:
            reason = "its predictions were imported: are its categories called like those of the corpora"
        elif (start, source) in unread:
            share = f"{number(100 * unread[start, source])} % of the words of {source}"
            reason = f"the vocabulary of {start} lacks letters of {share}: take another start for this script"
        elif start in others and sources[start, source] == seeds[start, source] > 1:
            reason = (
                f"no seed from {source} learnt anything, while {start} learns from other sources: does the vocabulary "
                f"of {start} have the script of {source}, and does its train split have entities"
            )
        else:
            reason = "too few steps (epochs, train sentences), or a learning_rate that is too low or too high"
        told.setdefault(reason, []).append((start, source, seed))
    causes = "; ".join(f"{_some(_named(cells))}: {reason}" for reason, cells in told.items())
    text = (
        "F1 is 0 on every target, on the source itself, too, so nothing was learnt that could be transferred. "
        f"Look for: {causes}"
    )
    return [Finding(Severity.WRONG, "nothing_found", f"{count(len(rows), 'cell')} without any F1", text, rows)]


UNREAD = 0.1
"""From this share of a split's words on, that a start cannot read them is a finding."""


def unread_words(found: StudyResults, split: str) -> list[Finding]:
    """Starts whose vocabulary lacks letters of many words of a target: a model sees unknown tokens in their place."""
    rows = found.unknown_words
    rows = rows[(rows["split"] == split) & (rows["share"] >= UNREAD)]
    if not len(rows):
        return []
    worst = rows.groupby(["start", "target"], sort=False)["share"].max().sort_values(ascending=False, kind="stable")
    named = [
        f"{target} from {start} ({number(100 * share)} % of the words)" for (start, target), share in worst.items()
    ]
    text = (
        f"{_some(named)} have letters that the start's vocabulary does not have: the model reads unknown tokens there. "
        "Low F1 on these targets says nothing about the source; take a start that has the script"
    )
    severity = Severity.WRONG if worst.iloc[0] >= 0.5 else Severity.CARE
    return [Finding(severity, "unread_words", "words that a start cannot read", text, rows.reset_index(drop=True))]


def strings_nowhere(found: StudyResults, split: str) -> list[Finding]:
    """Systems some of whose predicted strings stand nowhere in their sentence."""
    rows = found.unaligned[found.unaligned["split"] == split].reset_index(drop=True)
    if not len(rows):
        return []
    ordered = rows.sort_values("strings", ascending=False, kind="stable")
    named = [f"{r.start}-{r.source} on {r.target} ({r.strings:,})" for r in ordered.itertuples()]
    text = (
        f"{_some(named)}: such strings count as wrong entities of their category, so precision and F1 are lower for "
        "them. The pages of errors, which show entities in their place, are without them"
    )
    title = "predicted strings that are not in the sentence"
    return [Finding(Severity.CARE, "unaligned", title, text, rows)]


def without_seed(found: StudyResults) -> list[Finding]:
    """Systems without a seed: nothing but the sentences varies in their intervals and tests."""
    if not found.without_seed:
        return []
    named = sorted(f"{start}-{source}" for start, source in found.without_seed)
    text = f"{_some(named)}: one result each, so intervals and p of these systems are over sentences alone"
    rows = pd.DataFrame(sorted(found.without_seed), columns=["start", "source"])
    return [Finding(Severity.NOTE, "without_seed", f"{count(len(named), 'system')} without a seed", text, rows)]


def _unread_sources(found: StudyResults) -> dict[tuple[str, str], float]:
    """The share of words of its source that a start cannot read, where it is a finding."""
    rows = found.unknown_words
    rows = rows[(rows["source"] == rows["target"]) & (rows["share"] >= UNREAD)]
    return rows.groupby(["start", "source"])["share"].max().to_dict()


def names_of_categories(found: StudyResults, corpora: Mapping[str, Corpus], split: str) -> list[Finding]:
    """Categories that two languages may name differently, and those of a target that a source does not have."""
    gold = found.frame[(found.frame["split"] == split) & (found.frame["category"] != ALL)]
    gold = gold[(gold[SUPPORT] != 0)]  # or not known
    support = gold.groupby(["target", "category"], sort=False)[SUPPORT].max()
    names = {target: set(rows.index.get_level_values("category")) for target, rows in support.groupby("target")}
    for language, corpus in corpora.items():
        of = {category for one in corpus.splits.values() for category in categories_of(one.tags)}
        names[language] = of | names.get(language, set())
    findings = []
    alike = corpus_audit.like_names(names)
    if len(alike):
        named = [f"{r.category} ({r.languages}) / {r.like} ({r.like_languages})" for r in alike.itertuples()]
        text = f"{_some(named)} are scored as different categories: is one meant? Then rename it in the corpus"
        title = "categories that differ in spelling"
        findings.append(Finding(Severity.WRONG, "category_names", title, text, alike))
    pairs = found.frame[["source", "target"]].drop_duplicates().itertuples(index=False, name=None)
    rows = []
    for source, target in pairs:
        parts = grid.languages_of(source)
        if target not in support.index.get_level_values("target") or not (
            parts and all(part in names for part in parts)
        ):
            continue
        known = set().union(*(names[part] for part in parts))
        lacking = support[target][[name not in known for name in support[target].index]]
        if len(lacking):
            percent = 100 * lacking.sum() / support[target].sum()
            rows.append((source, target, ", ".join(lacking.index), percent))
    if not rows:
        return findings
    table = pd.DataFrame(rows, columns=["source", "target", "categories", "percent"])
    table = table.sort_values("percent", ascending=False, kind="stable", ignore_index=True)
    table = table.merge(_span_f1(found, split), "left", on=["source", "target"])
    worst = table.iloc[0]
    example = f"{worst['source']} to {worst['target']}: F1 {number(worst['f1'])}"
    example += f", spans alone {number(worst['span_f1'])}" if worst["span_f1"] == worst["span_f1"] else ""
    named = [f"{r.source} lacks {r.categories} of {r.target} ({number(r.percent)} % of it)" for r in table.itertuples()]
    text = f"{_some(named)}: no model of such a source can find these entities of the target ({example})"
    severity = Severity.WRONG if worst["percent"] >= 50 else Severity.CARE
    title = f"{count(len(table), 'pair')} of languages with different categories"
    return [*findings, Finding(severity, "lacking_categories", title, text, table)]


def _span_f1(found: StudyResults, split: str) -> pd.DataFrame:
    """Mean F1, and of spans alone, by source and target, in percent."""
    place = ["source", "target"]
    spans = found.overall[found.overall["split"] == split].groupby(place)["span_f1"].mean().mul(100)
    scored = found.frame[(found.frame["split"] == split) & (found.frame["category"] == ALL)]
    return pd.concat([scored.groupby(place)[F1].mean().mul(100).rename("f1"), spans], axis=1).reset_index()


def _that_learnt_nothing(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells whose F1 is 0 on every target and split, one row each."""
    best = frame[frame["category"] == ALL].groupby(CELL, sort=False)[F1].max()
    return best[best == 0].index.to_frame(index=False)


def identical_predictions(found: StudyResults, excluded: Collection[tuple[str, str]] = ()) -> list[Finding]:
    """Different cells whose predicted tags are the same, on all their targets or on some.

    Cells with a few sentences of a target are among them, their sources named as those of their runs. Those that learnt
    nothing are not: `nothing_found` has them.
    """
    scored = _with_named(found.digests, found.few_shot.digests).dropna()
    idle = pd.MultiIndex.from_frame(_that_learnt_nothing(found.frame))
    scored = scored[~pd.MultiIndex.from_frame(scored[CELL]).isin(idle)]
    known = pd.MultiIndex.from_frame(scored[CELL]).union(idle)
    findings = []
    groups = matrices.identical_cells(found.frame[~pd.MultiIndex.from_frame(found.frame[CELL]).isin(known)])
    if groups:
        findings.append(_twins(groups, "scores", found, excluded))
    whole: dict[tuple, list[tuple[str, str, int]]] = {}
    for cell, part in scored.groupby(CELL, sort=False):
        key = tuple(sorted(part[["target", "split", "digest"]].itertuples(index=False, name=None)))
        whole.setdefault(key, []).append(cell)
    groups = [cells for cells in whole.values() if len(cells) > 1]
    first = {cell: cells[0] for cells in whole.values() for cell in cells}  # one for all that are the same throughout
    models = [first[cell] for cell in scored[CELL].itertuples(index=False, name=None)]
    different = scored.assign(model=models).groupby(["target", "split", "digest"])["model"].transform("nunique")
    partial = scored[different > 1]
    if groups:
        findings.append(_twins(groups, "predictions", found, excluded))
    if len(partial):
        text = (
            f"{count(len(partial), 'score')} on {listing(sorted(set(partial['target'])))} share their predicted tags, "
            "word for word, with another cell: models that predict next to nothing, or copied files"
        )
        title = "equal predictions on single targets"
        findings.append(Finding(Severity.CARE, "identical_on_some_targets", title, text, partial))
    return findings


def _with_named(ordinary: pd.DataFrame, few: pd.DataFrame) -> pd.DataFrame:
    """Rows of ordinary cells, and below them those of cells with a few sentences: ``hau+50swa`` is their source."""
    if not len(few):
        return ordinary
    places = few[["source", *FEW_SHOT]].itertuples(index=False, name=None)
    named = [FewShot(language, n, mode).with_source(source) for source, language, n, mode in places]
    return pd.concat([ordinary, few.drop(columns=FEW_SHOT).assign(source=named)], ignore_index=True)


def _twins(
    groups: Sequence[Sequence[tuple[str, str, int]]],
    what: str,
    found: StudyResults,
    excluded: Collection[tuple[str, str]],
) -> Finding:
    named = [" = ".join(_named(cells)) for cells in groups]
    seeds = matrices.seed_counts(_with_named(found.frame, found.few_shot.frame)).set_index(["start", "source"])["seeds"]
    shared: dict[tuple, int] = {}  # seeds by configurations that share them
    for cells in groups:
        together = tuple(dict.fromkeys((start, source) for start, source, _ in cells))
        shared[together] = shared.get(together, 0) + 1
    wide = sorted(
        " and ".join(f"{start}-{source}" for start, source in together)
        for together, n in shared.items()
        if len(together) > 1 and all(n >= seeds.get(one, 0) for one in together)
    )
    told = f"; configurations {listing(wide)} are the same models, seed by seed" if wide else ""
    twice = any(sum(cell[:2] not in excluded for cell in cells) > 1 for cells in groups)
    text = f"{_some(named)} have equal {what} on every target{told}: one was copied, or the seed seeds nothing. " + (
        "Counted twice, they make a difference look surer than it is" if twice else "Means are without the copies"
    )
    rows = [(i, *cell) for i, cells in enumerate(groups, start=1) for cell in cells]
    table = pd.DataFrame(rows, columns=["group", *CELL])
    title = f"{count(len(groups), 'group')} of cells with identical {what}"
    return Finding(Severity.WRONG, f"identical_{what}", title, text, table)


def unfit(imports: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Files and folders that an import did not understand."""
    rows = imports.get("unfit", pd.DataFrame())
    if not len(rows):
        return []
    named = [f"{path} ({reason})" for path, reason in rows.itertuples(index=False, name=None)]
    text = f"{_some(named)}: nothing of them is in the tables"
    return [Finding(Severity.CARE, "unfit", f"{count(len(rows), 'published file')} not imported", text, rows)]


def disagreements(imports: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Reported values that are not what the predictions give, and what could not be compared."""
    rows = imports.get("disagreements", pd.DataFrame())
    if not len(rows):
        return []
    findings = []
    compared = rows["measure"].fillna("").astype(str) != ""
    values, remarks = rows[compared].reset_index(drop=True), rows[~compared].reset_index(drop=True)
    if len(values):
        off = (100 * (values["reported"] - values["rescored"]).abs()[values["measure"] == F1]).max()
        worst = f", at most {number(off, 2)} points of F1" if off == off else ""
        text = f"in {count(values['cell'].nunique(), 'cell')}{worst}; the tables hold what was counted anew"
        title = f"{count(len(values), 'reported value')} that the predictions do not give"
        findings.append(Finding(Severity.WRONG, "disagreements", title, text, values))
    if len(remarks):
        named = [f"{r.cell} on {r.target}: {r.remark}" for r in remarks.itertuples()]
        title = f"{count(len(remarks), 'published result')} with a remark"
        findings.append(Finding(Severity.CARE, "remarks", title, _some(named), remarks))
    return findings


def inconsistent_runs(found: StudyResults) -> list[Finding]:
    """Recipes, corpora and starts that differ where they should not, or are the same under two names."""
    findings = []
    for warning in found.warnings:
        title, colon, text = warning.partition(": ")
        findings.append(Finding(Severity.WRONG, "", title if colon else "runs that do not fit", text or warning))
    return findings


def unequal_seeds(found: StudyResults) -> list[Finding]:
    """Configurations with fewer seeds than others, and a study with few seeds at all."""
    seeds = matrices.seed_counts(found.frame)
    without = [pair in found.without_seed for pair in zip(seeds["start"], seeds["source"], strict=True)]
    seeds = seeds[~np.array(without, bool)]
    findings = []
    if seeds["seeds"].nunique() > 1:
        most = int(seeds["seeds"].max())
        few = seeds[seeds["seeds"] < most]
        named = [f"{start}-{source} ({n})" for start, source, n in few.itertuples(index=False, name=None)]
        text = (
            f"{_some(named)} instead of {most}; "
            "means of fewer seeds vary more, and the best of more seeds is higher by chance"
        )
        findings.append(Finding(Severity.CARE, "unequal_seeds", "unequal numbers of seeds", text, few))
    if seeds["seeds"].max() < FEW_SEEDS:
        highest = count(int(seeds["seeds"].max()), "seed")
        text = f"{highest} a configuration: next to nothing is known of how much a score varies"
        findings.append(Finding(Severity.CARE, "", "few seeds", text))
    return findings


def seeds_alone(intervals: pd.DataFrame) -> list[Finding]:
    """Targets whose intervals and tests cannot tell what other sentences would change (`inference.intervals`)."""
    rows = intervals[~intervals["sentences_vary"].astype(bool)]
    targets = list(dict.fromkeys(rows["target"]))
    if not targets:
        return []
    text = f"on {_some(targets)} not all cells have entities counted by sentence"
    if rows["n_seeds"].max() == 1:
        return [Finding(Severity.CARE, "", "no intervals", f"{text}, and none has a second seed: nothing varies")]
    return [Finding(Severity.CARE, "", "intervals over seeds alone", f"{text}: intervals and p are over seeds alone")]


def duplicates(found: StudyResults) -> list[Finding]:
    """Finished runs of a cell that has a later one."""
    rows = every_duplicate(found)
    if not len(rows):
        return []
    title = count(len(rows), "duplicate")
    text = "finished runs of a cell that has a later finished run, which is the one used"
    return [Finding(Severity.NOTE, "duplicates", title, text, rows)]


def invalid_tags(found: StudyResults, split: str) -> list[Finding]:
    """Predicted tags that are not IOB2, and how much the repair of them changes each score."""
    overall = found.overall[(found.overall["split"] == split) & (found.overall["invalid_tag_rate"] > 0)]
    if not len(overall):
        return []
    place = [*CELL, "target", "split"]
    default = found.frame[found.frame["category"] == ALL].set_index(place)[F1]
    rows = overall[[*place, "invalid_tag_rate", "strict_f1"]].assign(
        invalid_percent=lambda t: 100 * t["invalid_tag_rate"],
        f1=lambda t: 100 * default.reindex(pd.MultiIndex.from_frame(t[place])).to_numpy(),
        strict_f1=lambda t: 100 * t["strict_f1"],
    )
    default_rows = found.overall[found.overall["split"] == split]
    rows = rows.assign(change=lambda t: t["f1"] - t["strict_f1"]).drop(columns="invalid_tag_rate")
    rows = rows.sort_values("change", key=lambda c: -c.abs(), kind="stable", ignore_index=True)
    worst = rows.iloc[0]
    cell = f"{worst['start']}-{worst['source']} seed {worst['seed']} on {worst['target']}"
    text = (
        f"I- tags that continue nothing are in {count(len(rows), 'score')} (up to "
        f"{number(rows['invalid_percent'].max(), 2)} % of the words). Repaired as entities, as published, they change "
        f"F1 by {number(rows['change'].mean(), 2, True)} points on average and at most by "
        f"{number(worst['change'], 2, True)} ({cell}), against strict F1, which counts no such tag, gold ones neither"
    )
    odd = _unusual(rows["change"].abs(), len(default_rows))
    if odd.any():
        named = list(dict.fromkeys(f"{r.start}-{r.source} on {r.target}" for r in rows[odd].itertuples()))
        text += f". Far more than elsewhere in this study: {_some(named)}"
    severity = Severity.CARE if odd.any() else Severity.NOTE
    return [Finding(severity, "invalid_tags", "invalid predicted tags", text, rows)]


def _unusual(changes: pd.Series, scores: int) -> pd.Series:
    """Whether a change is a point or more, and beyond the usual ones of ``scores``, those of 0 among them: above the
    third quartile by more than three times the distance of the quartiles (Tukey 1977)."""
    every = np.concatenate([changes.to_numpy(float), np.zeros(max(scores - len(changes), 0))])
    low, high = np.quantile(every, [0.25, 0.75])
    return (changes >= 1) & (changes > high + 3 * (high - low))


def selection_on_test(cards: pd.DataFrame, selection_split: str, imported: bool) -> list[Finding]:
    """How much better the best seed looks when it is chosen on the test split it is then shown on.

    ``imported``: results of a study that published models chosen so.
    """
    rows = cards[cards["inflation"].notna()]
    if not (rows["inflation"] > 0).any():
        return []
    worst = rows.loc[rows["inflation"].idxmax()]
    mean = number(rows["inflation"].mean(), 2, True)
    text = (
        f"choosing the best seed on test instead of dev raises its test F1 by {mean} points on average and by up to "
        f"{number(worst['inflation'], 2, True)} ({worst['start']} on {worst['source']}). "
        + ("The model cards here are chosen on test, as asked for" if selection_split == "test" else
           "The model cards here are chosen on dev" + ("; the published ones were chosen on test" if imported else ""))
    )  # fmt: skip
    severity = Severity.CARE if imported or selection_split == "test" else Severity.NOTE
    title = "best seed chosen on test" if selection_split == "test" else "if the best seed were chosen on test"
    return [Finding(severity, "selection", title, text, rows)]


def repeated_sentences(corpora: Mapping[str, Corpus]) -> list[Finding]:
    """Sentences of train that stand in test again, word for word; of the same language and of another."""
    rows = corpus_audit.repeated_sentences(corpora)
    rows = rows[rows["repeated"] > 0]
    told = rows[(rows["later"] == "test") & (rows["earlier"] == "train")].sort_values(
        "percent", ascending=False, kind="stable"
    )
    if not len(told):
        return []
    own, across = told[told["source"] == told["target"]], told[told["source"] != told["target"]]
    named = [f"{r.target} {r.repeated} of {r.sentences} ({number(r.percent)} %)" for r in own.itertuples()]
    others = [f"{r.repeated} of {r.target} in {r.source} ({number(r.percent)} %)" for r in across.itertuples()]
    told_of = {
        f"{_some(named)}: scores in the source language are higher for it": named,
        f"from train of another language: {_some(others)}: zero-shot scores are higher for it": others,
    }
    text = "; ".join(part for part, there in told_of.items() if there)
    severity = Severity.CARE if told["percent"].max() >= 1 else Severity.NOTE
    return [Finding(severity, "repeated_sentences", "test sentences that are in train", text, rows)]


def repeated_inside(corpora: Mapping[str, Corpus]) -> list[Finding]:
    """Sentences that stand in a split several times."""
    rows = corpus_audit.repeated_inside(corpora)
    if not len(rows):
        return []
    rows = rows.sort_values("percent", ascending=False, kind="stable", ignore_index=True)
    tested = rows[rows["split"] == "test"]
    told = tested if len(tested) else rows
    named = [f"{r.language} {r.split} {r.repeated} of {r.sentences} ({number(r.percent)} %)" for r in told.itertuples()]
    weigh = "they count more than once, and intervals over sentences, which take them for independent, are too narrow"
    text = f"{_some(named)} stand earlier in the same split, word for word" + (f": {weigh}" if len(tested) else "")
    severity = Severity.CARE if tested["percent"].max() >= 1 else Severity.NOTE
    return [Finding(severity, "repeated_inside", "sentences repeated inside a split", text, rows)]


def disagreeing_sentences(corpora: Mapping[str, Corpus]) -> list[Finding]:
    """Sentences of a split that stand there again with other tags."""
    rows = corpus_audit.disagreeing_sentences(corpora)
    if not len(rows):
        return []
    numbers = rows.groupby(["language", "split"], sort=False).size().sort_values(ascending=False, kind="stable")
    named = [f"{language} {split} {n}" for (language, split), n in numbers.items()]
    text = f"{_some(named)}: the annotation contradicts itself, and no model can be right each time"
    title = f"{count(len(rows), 'sentence')} annotated in several ways"
    return [Finding(Severity.NOTE, "disagreeing_sentences", title, text, rows)]


def stray_gold_tags(corpora: Mapping[str, Corpus]) -> list[Finding]:
    """I- tags of the gold annotation that continue nothing."""
    rows = corpus_audit.stray_gold_tags(corpora)
    rows = rows[rows["stray_tags"] > 0]
    if not len(rows):
        return []
    named = [
        f"{r.language} {r.split} {r.stray_tags}" for r in rows.sort_values("stray_tags", ascending=False).itertuples()
    ]
    text = f"{_some(named)}; each is taken to begin an entity"
    return [
        Finding(Severity.NOTE, "stray_gold_tags", count(int(rows["stray_tags"].sum()), "stray gold tag"), text, rows)
    ]
