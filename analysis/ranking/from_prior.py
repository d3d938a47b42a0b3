"""A ranking of sources for a target from a prior alone: no study of one's own, no store. Reads the target's text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.ranking import configurations, expectation, mixed, words
from analysis.ranking.configurations import Adapting
from analysis.ranking.expectation import Left, Widening
from analysis.ranking.features import LEAST_FORMS, Known, facts, names_of, profile
from analysis.ranking.mixed import CLOSENESS, MODEL, Mixed, Rows
from analysis.ranking.pairs import LEAST_SOURCES, LEAST_TARGETS, feature_table
from analysis.ranking.prior import Prior
from analysis.ranking.texts import read_text
from analysis.statistics.tables import listing, number
from nertransfer.core.config import RankConfig
from nertransfer.core.errors import InputError
from nertransfer.core.text import aligned, count
from nertransfer.corpora import corpus
from nertransfer.corpora.corpus import Corpus, read_split
from nertransfer.corpora.languages import CODES
from nertransfer.scoring.intervals import interval

NAMES = list(CLOSENESS).index("name_overlap")
RELATIVES = list(CLOSENESS).index("genetic_distance")
RULES = {
    "model": "mixed model of starts, sources, names and relatives",
    "average": "the source that is best on average over the other targets",
    "names": "most names in common",
    "relatives": "closest relative, ties broken at random",
    "random": "a random source",
}


@dataclass(frozen=True)
class FromPrior:
    """``table`` as of `configurations.listed`; ``start``: whose scores are expected; ``judged``: a row per rule and
    target left out, regret in points, the mean over the ``wide`` starts; ``unseen``: candidates of which the prior has
    no score; ``adapting``: what a start adapted to the target is expected to add to the first row; ``said``: what was
    used."""

    prior: Prior
    start: str
    table: pd.DataFrame
    widened: Widening
    judged: pd.DataFrame
    wide: list[str]
    unseen: list[str]
    adapting: Adapting | None
    said: list[str]


def compute(prior: Prior, config: RankConfig) -> FromPrior:
    """Rank ``config.sources``, else those of the prior, for a target.

    Raises InputError for a start that the prior lacks, and for languages of which nothing is known.
    """
    target, start = config.target, config.start or prior.start
    if start not in prior.rows.start:
        raise InputError(
            f"start={start!r} has no scores in this prior; it has {', '.join(dict.fromkeys(prior.rows.start))}", "start"
        )
    candidates = [name for name in config.sources or prior.sources if name != target]
    if len(candidates) < 2:
        listed = ", ".join(candidates) or "none"
        whose = "sources has" if config.sources else "this prior has"
        raise InputError(
            f"at least two sources other than {target} are needed, and {whose} {listed}; name more in sources",
            "sources",
        )
    corpora = _corpora(config, [*candidates, target])
    known = {code: _source(code, prior, corpora) for code in candidates}
    asked = _target(prior, config, corpora)
    for code, one, parameter in [*((code, one, "sources") for code, one in known.items()), (target, asked, "target")]:
        if not one.lineage and one.text is None and one.names is None:
            raise InputError(
                f"{parameter}={code!r}: nothing is known of this language; give its text or one of "
                f"{', '.join(CODES)}", parameter,
            )  # fmt: skip
    wanted = mixed.rows(
        [start] * len(candidates), candidates, [target] * len(candidates), feature_table(known, {target: asked})
    )
    seen = prior.rows.where(~prior.rows.of([target], start))
    unknown = np.isnan(wanted.closeness).any(axis=0)
    wanted, seen = wanted.without(unknown), seen.without(unknown)  # what one candidate lacks tells nothing of others
    wide = _wide(seen)
    if start not in wide:
        raise InputError(
            f"start={start!r}: this prior has too few of its scores that are not of {target}: at least {LEAST_SOURCES} "
            f"sources and {LEAST_TARGETS} targets are needed; starts with enough: {', '.join(wide) or 'none'}", "start",
        )  # fmt: skip
    model = Mixed(seen)
    unseen = [name for name in candidates if name not in seen.source]
    folds = list(_folds(model, start, bool(unseen)))
    left = [fold.left for fold in folds]
    widened = _widening(model, start, bool(unseen), folds)
    f1, parts = model.f1(wanted), model.parts(wanted)
    table = configurations.listed(wanted, f1, parts, expectation.expect(f1, expectation.errors_of(left), widened))
    there = (prior.rows.target == target) & (prior.rows.start == start)
    measured = dict(zip(prior.rows.source[there], prior.rows.f1[there], strict=True))
    if measured:
        column = [measured.get(source, np.nan) for source in table["source"]]
        table.insert(table.columns.get_loc("because"), "measured_f1", column)
    used = [name for name, gone in zip(CLOSENESS, unknown, strict=True) if not gone]
    said = [
        f"Language similarity: {listing(used)}." if used else "Language similarity is not used: too little is known."
    ]
    if unknown[NAMES]:
        said.append(f"name_overlap is not used: {_why_no_names(target, asked, known)}.")
    own = (prior.rows.start == target) & (prior.rows.target == target)
    adapted = pd.Series(prior.rows.f1[own], prior.rows.source[own])
    adapting = configurations.adapting(target, table, configurations.gains(seen, _firsts(model, start)), adapted)
    judged = pd.concat([judge(model, one, bool(unseen)) for one in wide])
    judged = judged.groupby(["rule", "target"], sort=False, as_index=False)["regret"].mean()
    return FromPrior(prior, start, table, widened, judged, wide, unseen, adapting, said)


def _why_no_names(target: str, asked: Known, known: Mapping[str, Known]) -> str:
    if asked.text is None:
        return f"there is no text of {target}; give text"
    if len(asked.text.forms) < LEAST_FORMS:
        forms = count(len(asked.text.forms), "distinct word")
        return f"the text of {target} has {forms}, and at least {LEAST_FORMS} are needed"
    lacking = ", ".join(code for code, one in known.items() if not one.names)
    return f"there are no labelled texts of {lacking}; give data"


def _corpora(config: RankConfig, languages: list[str]) -> Mapping[str, Corpus]:
    if not config.data.data:
        return {}
    there = tuple(name for name in languages if name in corpus.names(config.data))
    return corpus.load(replace(config.data, languages=there)) if there else {}


def _source(code: str, prior: Prior, corpora: Mapping[str, Corpus]) -> Known:
    names = names_of(corpora[code].train) if code in corpora else prior.names.get(code)
    return facts(code, " / ".join(prior.lineages.get(code, ())), names=names)


def _target(prior: Prior, config: RankConfig, corpora: Mapping[str, Corpus]) -> Known:
    """What is known of the target: of its text, else of its labelled sentences, else of its corpus without labels."""
    sentences: list[list[str]] = []
    if config.text:
        sentences = read_text(Path(config.text))
    elif config.labelled:
        split = read_split(Path(config.labelled), config.target, Path(config.labelled).stem)
        sentences = [list(sentence.words) for sentence in split.sentences]
    elif config.target in corpora:
        sentences = [list(sentence.words) for sentence in corpora[config.target].train.sentences]
    family = " / ".join(prior.lineages.get(config.target, ()))
    return facts(config.target, family, text=profile(sentences) if sentences else None)


# --- judged ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fold:
    """A target left out: expected and measured F1 of its candidates, their ``rows``, and the languages ``gone``."""

    target: str
    expected: np.ndarray
    f1: np.ndarray
    rows: Rows
    gone: list[str]

    @property
    def left(self) -> Left:
        return self.expected, self.f1


def _folds(model: Mixed, start: str, unseen: bool, without: Sequence[str] = ()) -> Iterator[Fold]:
    """Every target of ``start`` left out; where sources are ``unseen``, twice, each time with every other source
    unseen, too. ``without``: languages of which nothing is seen at all."""
    rows = model.seen
    there = (rows.start == start) & ~np.isin(rows.source, list(without))
    for target in dict.fromkeys(rows.target):
        here = np.flatnonzero(there & (rows.target == target))
        if len(here) < 2 or target in without:
            continue
        asked = rows.where(here)
        halves = [list(asked.source[k::2]) for k in (0, 1)] if unseen else [[]]
        for half in halves:
            gone = [target, *half, *without]
            yield Fold(target, model.again(gone, start)[here], asked.f1, asked, gone)


def _widening(model: Mixed, start: str, unseen: bool, folds: Sequence[Fold]) -> Widening:
    """`expectation.widening` of the folds."""
    known: dict[frozenset[str], list[Fold]] = {}

    def inner(*without: str) -> list[Fold]:
        gone = frozenset(without)
        if gone not in known:
            known[gone] = list(_folds(model, start, unseen, sorted(gone)))
        return known[gone]

    found = expectation.widening(
        [fold.left for fold in folds],
        [[one.left for one in inner(fold.target)] for fold in folds],
        [[[last.left for last in inner(fold.target, one.target)] for one in inner(fold.target)] for fold in folds],
    )
    return replace(found, targets=min(found.targets, len({fold.target for fold in folds})))


def _firsts(model: Mixed, start: str) -> pd.DataFrame:
    """The source that is ranked first for every target left out, `configurations.FIRST_COLUMNS`."""
    found = []
    for fold in _folds(model, start, unseen=False):
        k = int(np.argmax(fold.expected.round(9)))
        found.append((fold.target, start, fold.rows.source[k], fold.f1[k], float(np.clip(fold.expected[k], 0, 100))))
    return pd.DataFrame(found, columns=configurations.FIRST_COLUMNS)


def _wide(rows: Rows) -> list[str]:
    """The starts with enough sources and targets to compare sources of; the only ones whose rules are judged."""
    frame = pd.DataFrame({"start": rows.start, "source": rows.source, "target": rows.target})
    counts = frame.groupby("start").nunique()
    return list(counts.index[(counts["source"] >= LEAST_SOURCES) & (counts["target"] >= LEAST_TARGETS)])


def _average(rows: Rows, start: str, asked: Rows, gone: list[str]) -> np.ndarray:
    """Mean F1 above the mean of its target, by source, without the languages that are gone; those have -inf."""
    seen = ~rows.of(gone, start) & (rows.start == start)
    frame = pd.DataFrame({"source": rows.source[seen], "target": rows.target[seen], "f1": rows.f1[seen]})
    frame["f1"] -= frame.groupby("target")["f1"].transform("mean")
    means = frame.groupby("source")["f1"].mean()
    return np.array([means.get(source, -np.inf) for source in asked.source])


def judge(model: Mixed, start: str, unseen: bool) -> pd.DataFrame:
    """The regret of `RULES` in points by target of ``start``, each left out as in `_folds`."""
    found = []
    for fold in _folds(model, start, unseen):
        best, average = fold.f1.max(), _average(model.seen, start, fold.rows, fold.gone)
        chosen = {"model": [int(np.argmax(fold.expected.round(9)))], "average": [int(np.argmax(average))]}
        for name, column in (("names", NAMES), ("relatives", RELATIVES)):
            close = fold.rows.closeness[:, column]
            if not np.isnan(close).any():
                chosen[name] = list(np.flatnonzero(close >= close.max() - 1e-9))
        chosen["random"] = list(range(len(fold.f1)))
        found += [(rule, fold.target, best - fold.f1[places].mean()) for rule, places in chosen.items()]
    frame = pd.DataFrame(found, columns=["rule", "target", "regret"])
    return frame.groupby(["rule", "target"], sort=False, as_index=False)["regret"].mean()


def regrets(judged: pd.DataFrame) -> pd.DataFrame:
    """A row per rule: mean regret and its 95 % interval over targets."""
    rows = []
    for rule in [name for name in RULES if name in set(judged["rule"])]:
        values = judged.loc[judged["rule"] == rule, "regret"].to_numpy(float)
        rows.append((rule, RULES[rule], len(values), *interval(values, 0, 100)))
    return pd.DataFrame(rows, columns=["ranker", "label", "targets", "regret", "regret_low", "regret_high"])


def text(done: FromPrior, config: RankConfig, unused: str = "") -> str:
    """The table and how far to trust it, to be printed; ``unused``: what of the study was not used, in words."""
    lines = [["", "regret", "95 %", ""]]
    for row in regrets(done.judged).itertuples():
        lines.append([row.ranker, number(row.regret), words.limits(row.regret_low, row.regret_high), row.label])
    targets = count(done.judged["target"].nunique(), "target")
    new = f", and half of the sources, because the prior has no score of {listing(done.unseen)}" if done.unseen else ""
    told = [
        f"Sources for {config.target} from {done.start}, by the prior {done.prior.name} alone:",
        words.ranking(done.table, False, done.adapting),
        words.legend(done.table, config.target, MODEL),
        words.trust(done.widened),
        words.adapting(done.adapting),
        f"Regret in the prior (points of F1 below the best source; mean over the start{'s' if done.wide[1:] else ''} "
        f"{listing(done.wide)}), leaving out each of {targets} in turn{new}:",
        aligned(lines, {0, len(lines[0]) - 1}),
        "Expected F1 holds for the encoders, hyperparameters and corpora of the prior. With others F1 differs; the "
        "order of the sources and the regret are likely to transfer better.",
        *done.said,
        unused,
        f"Prior: {done.prior.cited}",
    ]
    return "\n\n".join(line for line in told if line)
