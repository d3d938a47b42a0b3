"""A ranking of sources for a new target, from a study and what is at hand of the target: the entry point ``rank``.

Reads the target's text and writes nothing.
"""

import importlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from analysis.ranking import configurations, judging, prior, rankers, uriel, words
from analysis.ranking import pairs as ranking_pairs
from analysis.ranking.configurations import Adapting, Trial
from analysis.ranking.expectation import Widening
from analysis.ranking.features import MEAN_TRANSFER, Aids, Known, Subtokens, facts, profile
from analysis.ranking.judging import Judged
from analysis.ranking.mixed import MODEL
from analysis.ranking.pairs import Pairs
from analysis.ranking.prior import Prior
from analysis.ranking.texts import read_text, read_tokenizer
from analysis.ranking.uriel import Typology
from analysis.reading.results import StudyResults
from analysis.statistics import tables
from analysis.transfer import matrices
from analysis.transfer.overlap import token_forms
from analysis.transfer.verdicts import Verdicts
from nertransfer.core.config import RankConfig
from nertransfer.core.errors import InputError
from nertransfer.core.grid import BASE, is_language, is_several
from nertransfer.core.schema import ALL, F1
from nertransfer.corpora.corpus import Corpus, read_split
from nertransfer.corpora.languages import CODES, LANGUAGES

BEST = "best"
SPLIT = "test"


@dataclass(frozen=True)
class Recommendation:
    """``table`` of `judging.recommend`, with ``measured_f1`` (percent) where the study has it; ``start``: the one whose
    sources are ranked, empty for all starts of the study, which ``trial`` then judges; ``judged``: the ways to rank the
    sources of the start that is meant where none is named; ``ranker``: the one that ranked; ``widened``: how far the
    intervals are to be trusted; ``adapting``: what a start adapted to the target is expected to add to the first row;
    ``words``: what was used, what was not; ``too_few``: why nothing could be judged, or empty."""

    pairs: Pairs
    table: pd.DataFrame
    start: str
    judged: Judged
    ranker: str
    widened: Widening
    trial: Trial | None
    adapting: Adapting | None
    words: list[str]
    too_few: str


class Encoder(Protocol):
    """A start that reads texts (`nertransfer.studies.embeddings`)."""

    @property
    def subtokens(self) -> Subtokens | None: ...

    def vectors(self, sentences: Sequence[Sequence[str]]) -> np.ndarray: ...


def usual_start(found: StudyResults) -> str:
    """The start that is meant where none is named: the base, else the one with most scores, of equals the first."""
    counts = found.frame["start"].value_counts(sort=False)
    return BASE if BASE in counts.index else str(counts.idxmax())


def compute(
    found: StudyResults,
    config: RankConfig,
    corpora: Mapping[str, Corpus],
    without: str = "",
    encoder: Encoder | None = None,
) -> Recommendation:
    """Rank the sources that a study has from ``config.start``, or where none is named the starts and sources.

    ``corpora`` of the study's languages, or ``without``: why there are none. ``encoder`` reads all texts, if it is
    there. With too few targets to judge rankers, those that learn nothing rank. Raises InputError for a start that the
    study lacks, a target of which nothing is known, fewer than two sources, or a ranker that lacks what it needs.
    """
    every = not config.start and config.ranker == BEST
    config = replace(config, start=config.start or usual_start(found))
    frame = found.frame[(found.frame["start"] == config.start) & (found.frame["split"] == SPLIT)]
    if frame.empty:
        starts = ", ".join(dict.fromkeys(found.frame["start"]))
        raise InputError(f"start={config.start!r} has no scores in this study; it has {starts}", "start")
    sources, targets = matrices.axes(found.frame, found.plan, found.languages)[config.start]
    targets = [name for name in targets if name not in matrices.undefined(found.frame, SPLIT)]
    several = [name for name in sources if is_several(name)]
    sources = [name for name in sources if is_language(name)]
    means = start_means(found, targets)
    f1 = matrices.cube(frame, config.start, sources, targets, SPLIT, ALL, F1).statistic("mean")
    others = {start: mean for start, mean in means.items() if start != config.start}
    languages = list(dict.fromkeys([*sources, *targets, *(name for mean in others.values() for name in mean.index)]))
    languages = [name for name in languages if is_language(name)]
    aids, about = aids_of(config, [*languages, config.target], encoder)
    # first what may be wrong: an encoder takes its time for the texts of the study
    asked = _asked(config, found, {} if set(languages) - set(corpora) else corpora, aids)
    known = ranking_pairs.known_languages(languages, corpora, found.families, bool(config.labelled), aids)
    if asked.text is None and config.target in known:
        asked = replace(asked, text=known[config.target].text)
    features = ranking_pairs.feature_table(known, {config.target: asked})
    pairs = ranking_pairs.pairs(f1, features, config.target, config.start, others)
    ranking_pairs.check_choice(pairs, config.target)
    too_few = ranking_pairs.shortage(pairs, config.target)
    names = list(rankers.QUICK) if too_few else _usable_rankers(config)
    judged = judging.unjudged(pairs, names) if too_few else judging.judge(pairs, names)
    ranker = config.ranker
    if ranker == BEST:
        ranker = judging.first_that_separates(pairs, judged) if judged.chosen else ""
    if ranker not in set(judged.table["ranker"]):
        usable = ", ".join(name for name in judged.table["ranker"] if name in rankers.RANKERS) or "none"
        raise InputError(
            f"ranker={config.ranker!r} needs {_needed(config, too_few)}; usable: {usable}"
            + (f" (without the texts of the sources: {without})" if without else ""),
            "ranker",
        )
    configured = configurations.asked_for(pairs.rows, config.target, features)
    every = every and ranker == MODEL and len(set(configured.start)) > 1
    trial = None if too_few else configurations.judge(pairs.model)
    every = every and trial is not None and len(trial.left) > 1
    if every and trial is not None:
        table, widened = configurations.recommend(pairs.model, trial, configured)
        firsts = trial.table
    else:
        table, widened = judging.recommend(pairs, judged, ranker)
        firsts = judging.firsts(pairs, judged, ranker) if not too_few else pd.DataFrame()
    own = means[config.target][config.target] if config.target in means and config.target in targets else None
    gains = configurations.gains(pairs.rows, firsts)
    adapting = configurations.adapting(config.target, table, gains, own)
    measured = pd.Series(
        {
            (start, source): value
            for start, mean in {**means, config.start: f1}.items()
            if config.target in mean
            for source, value in mean[config.target].items()
        },
        dtype=float,
    )
    if len(measured) and measured.notna().any():
        keys = list(zip(table["start"], table["source"], strict=True))
        table.insert(table.columns.get_loc("because"), "measured_f1", [measured.get(key, np.nan) for key in keys])
    said = [ranking_pairs.features_in_words(pairs), ranking_pairs.gaps_in_words(pairs)]
    said.append(about)
    said.append(f"Without the texts of the sources: {without}." if without else "")
    said.append(f"Left out, because they combine several languages: {', '.join(several)}." if several else "")
    said = [text for text in said if text]
    start = "" if every else config.start
    return Recommendation(pairs, table, start, judged, ranker, widened, trial, adapting, said, too_few)


def prior_of(found: StudyResults, corpora: Mapping[str, Corpus], cited: str = "") -> Prior:
    """What a study tells others (`analysis.ranking.prior`); ``cited``: where its scores are from.

    Raises InputError where it has no zero-shot scores.
    """
    undefined = matrices.undefined(found.frame, SPLIT)
    means = start_means(found, [name for name in found.languages if name not in undefined])
    languages = [name for name in found.languages if is_language(name)]
    known = ranking_pairs.known_languages(languages, corpora, found.families)
    cited = cited or f"study {found.study}"
    features = ranking_pairs.feature_table(known)
    told = prior.of_study(found.study, cited, usual_start(found), means, features, known)
    if not len(told.rows):
        raise InputError(f"study {found.study} has no zero-shot scores to rank by", "study")
    return told


def start_means(found: StudyResults, targets: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Transfer matrices by start (rows source, columns target, percent)."""
    frame = found.frame[(found.frame["split"] == SPLIT) & (found.frame["category"] == ALL)]
    frame = frame[frame["target"].isin(targets)]
    return {
        start: matrices.cube(frame, start, targets=targets).statistic("mean") for start in dict.fromkeys(frame["start"])
    }


def not_used(judged: Verdicts) -> pd.DataFrame:
    """What of a study is not used: columns start, source, seed (empty: all seeds), reason."""
    rows = [(row.start, row.source, "", row.reason) for row in judged.excluded.itertuples()]
    for row in judged.collapsed.itertuples():
        if (row.start, row.source, row.seed) in judged.dropped:
            why = f"F1 {tables.number(row.f1)} on {row.measured_on}, best other seed {tables.number(row.best)}"
            rows.append((row.start, row.source, row.seed, f"its fine-tuning collapsed ({why})"))
    return pd.DataFrame(rows, columns=["start", "source", "seed", "reason"])


def _needed(config: RankConfig, too_few: str) -> str:
    """What the ranker that is asked for lacks."""
    if config.ranker == BEST:
        return "a feature that is known of all pairs of languages"
    needed = rankers.RANKERS[config.ranker].needs
    if not needed:
        return f"scores to learn from: {too_few}"
    if needed == MEAN_TRANSFER:
        return f"scores of every source and another one on a target other than {config.target}"
    return f"{needed}, which is not known of all pairs of languages"


def _usable_rankers(config: RankConfig) -> list[str]:
    """The rankers that are judged: those that take no time, and LambdaRank where it is asked for.

    Raises InputError where it does not run on this machine.
    """
    if config.ranker != "lambdarank":
        return list(rankers.QUICK)
    try:
        importlib.import_module("lightgbm")
    except (ImportError, OSError) as error:  # its wheels need the system's OpenMP library
        reason = f"LightGBM cannot be loaded here ({error}); it needs OpenMP (libgomp1, libomp)"
        raise InputError(f"ranker={config.ranker!r}: {reason}", "ranker") from None
    return list(rankers.RANKERS)


def _asked(config: RankConfig, found: StudyResults, corpora: Container[str], aids: Aids) -> Known:
    """What is known of the target, with the text given, else of its labelled sentences.

    Raises InputError where nothing is known: not even ``corpora`` have it.
    """
    code = config.target
    counted: dict[str, object] = {}
    sentences = read_text(Path(config.text)) if config.text else []
    if config.labelled:
        split = read_split(Path(config.labelled), code, Path(config.labelled).stem)
        counted["labels"] = token_forms(split)
        sentences = sentences or [list(sentence.words) for sentence in split.sentences]
    if not sentences and code not in corpora and code not in {*LANGUAGES, *found.families, *aids.typology}:
        listed = ", ".join(sorted({*CODES, *found.families}))
        raise InputError(
            f"target={code!r}: nothing is known of this language; give text or labelled, or one of {listed}", "target"
        )
    if sentences:
        counted["text"] = profile(sentences, aids.subtokens, aids.states)
    return facts(code, found.families.get(code, ""), aids.typology.get(code), **counted)


def aids_of(config: RankConfig, languages: Sequence[str], encoder: Encoder | None) -> tuple[Aids, str]:
    """What is asked for beside texts, and in words whose the distances of languages are."""
    subtokens, states = (encoder.subtokens, encoder.vectors) if encoder is not None else (None, None)
    if config.tokenizer:
        subtokens = read_tokenizer(Path(config.tokenizer))
    typology, about = _typology(languages) if config.uriel else ({}, "")
    return Aids(subtokens, states, typology), about


def _typology(languages: Sequence[str]) -> tuple[dict[str, Typology], str]:
    """What URIEL says of all languages or, lest distances be of two kinds, of none; and which of the two, in words."""
    found = uriel.read(languages)
    lacking = [code for code in dict.fromkeys(languages) if code not in found]
    if lacking:
        return {}, f"Distances are not from URIEL, which lacks {', '.join(lacking)}."
    rootless = [code for code, one in found.items() if not one.lineage]
    if rootless:
        found = {code: replace(one, lineage=()) for code, one in found.items()}
        return found, f"Distances are from URIEL, except genetic ones: it has no family of {', '.join(rootless)}."
    return found, "Distances are from URIEL."


def text(done: Recommendation, config: RankConfig, unused: str = "") -> str:
    """The table and how far to trust it, to be printed; ``unused``: what of the study was not used, in words."""
    label = rankers.RANKERS[done.ranker].label
    what = f"Sources for {config.target} from {done.start}" if done.start else f"Starts and sources for {config.target}"
    told = [
        f"{what}, ranked by {done.ranker} ({label}):",
        words.ranking(done.table, not done.start, done.adapting),
        words.legend(done.table, config.target, done.ranker),
    ]
    if done.too_few:
        told += words.unjudged(done.judged, done.pairs, done.ranker, done.too_few, config.ranker != BEST)
    else:
        told.append(words.trust(done.widened))
        told.append(words.adapting(done.adapting))
        if not done.start and done.trial is not None:
            told.append(words.configurations(done.trial))
        told += [
            f"Rankers of the sources of {done.pairs.start}, judged by leaving out one target at a time (regret: points "
            "of F1 below the best source):",
            words.judged(done.judged),
            words.reliance(done.judged, done.ranker),
        ]
    return "\n\n".join(line for line in [*told, *done.words, unused] if line)
