"""A ranking of sources for a new target, from a study and what is at hand of the target: the entry point ``rank``.

Reads the target's text and writes nothing.
"""

import importlib
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from analysis.ranking import judging, rankers, uriel
from analysis.ranking import pairs as ranking_pairs
from analysis.ranking.features import MEAN_TRANSFER, Aids, Known, Subtokens, facts, profile
from analysis.ranking.judging import Judged
from analysis.ranking.pairs import Pairs
from analysis.ranking.uriel import Typology
from analysis.reading.results import StudyResults
from analysis.statistics.tables import MISSING, listing, number
from analysis.transfer import matrices
from analysis.transfer.overlap import token_forms
from nertransfer.core.config import RankConfig
from nertransfer.core.errors import InputError
from nertransfer.core.files import BYTE_ORDER_MARK, decode
from nertransfer.core.files import read as read_file
from nertransfer.core.grid import BASE, is_several
from nertransfer.core.schema import ALL, F1
from nertransfer.core.text import aligned, count
from nertransfer.corpora.conll import running_lines
from nertransfer.corpora.corpus import Corpus, read_split
from nertransfer.corpora.languages import LANGUAGES
from nertransfer.corpora.words import split_text
from nertransfer.encoders.subtokens import of_words

BEST = "best"
SPLIT = "test"


@dataclass(frozen=True)
class Recommendation:
    """``table`` of `judging.recommend`, with ``measured_f1`` (percent) where the study has it; ``ranker``: the one that
    ranked; ``words``: what was used, what was not; ``too_few``: why nothing could be judged, or empty."""

    pairs: Pairs
    table: pd.DataFrame
    judged: Judged
    ranker: str
    words: list[str]
    too_few: str


class Encoder(Protocol):
    """A start that reads texts (`nertransfer.studies.embeddings`)."""

    @property
    def subtokens(self) -> Subtokens | None: ...

    def vectors(self, sentences: Sequence[Sequence[str]]) -> np.ndarray: ...


def usual_start(found: StudyResults) -> str:
    """The start that is meant where none is named: the only one of the study, of several the base."""
    names = set(found.frame["start"])
    return names.pop() if len(names) == 1 else BASE


def compute(
    found: StudyResults,
    config: RankConfig,
    corpora: Mapping[str, Corpus],
    without: str = "",
    encoder: Encoder | None = None,
) -> Recommendation:
    """Rank the sources that a study has from ``config.start``.

    ``corpora`` of the study's languages, or ``without``: why there are none. ``encoder`` reads all texts, if it is
    there. With too few targets to judge rankers, those that learn nothing rank. Raises InputError for a start that the
    study lacks, a target of which nothing is known, fewer than two sources, or a ranker that lacks what it needs.
    """
    frame = found.frame[(found.frame["start"] == config.start) & (found.frame["split"] == SPLIT)]
    if frame.empty:
        starts = ", ".join(dict.fromkeys(found.frame["start"]))
        raise InputError(f"start={config.start!r} has no scores in this study; it has {starts}", "start")
    sources, targets = matrices.axes(found.frame, found.plan, found.languages)[config.start]
    targets = [name for name in targets if name not in matrices.undefined(found.frame, SPLIT)]
    several = [name for name in sources if is_several(name)]
    sources = [name for name in sources if name not in several]
    f1 = matrices.cube(frame, config.start, sources, targets, SPLIT, ALL, F1).statistic("mean")
    languages = list(dict.fromkeys([*sources, *targets]))
    aids, about = aids_of(config, [*languages, config.target], encoder)
    # first what may be wrong: an encoder takes its time for the texts of the study
    asked = _asked(config, found, {} if set(languages) - set(corpora) else corpora, aids)
    known = ranking_pairs.known_languages(languages, corpora, found.families, bool(config.labelled), aids)
    if asked.text is None and config.target in known:
        asked = replace(asked, text=known[config.target].text)
    pairs = ranking_pairs.pairs(f1, ranking_pairs.feature_table(known, {config.target: asked}), config.target)
    ranking_pairs.check_choice(pairs, config.target)
    too_few = ranking_pairs.shortage(pairs, config.target)
    names, unusable = (list(rankers.QUICK), "") if too_few else _usable_rankers()
    if unusable and config.ranker == "lambdarank":
        raise InputError(f"ranker={config.ranker!r}: {unusable}", "ranker")
    judged = judging.unjudged(pairs, names) if too_few else judging.judge(pairs, names)
    ranker = judged.chosen if config.ranker == BEST else config.ranker
    if ranker not in set(judged.table["ranker"]):
        usable = ", ".join(name for name in judged.table["ranker"] if name in rankers.RANKERS) or "none"
        raise InputError(
            f"ranker={config.ranker!r} needs {_needed(config, too_few)}; usable: {usable}"
            + (f" (without the texts of the sources: {without})" if without else ""),
            "ranker",
        )
    table = judging.recommend(pairs, judged, ranker)
    if config.target in f1.columns:
        measured = f1[config.target].reindex(table["source"]).to_numpy(float)
        table.insert(table.columns.get_loc("because"), "measured_f1", measured)
    words = [ranking_pairs.features_in_words(pairs), ranking_pairs.gaps_in_words(pairs)]
    words.append(about)
    words.append(f"Without the texts of the sources: {without}." if without else "")
    words.append(f"Left out, for they are no language of their own: {', '.join(several)}." if several else "")
    words.append(f"Without lambdarank: {unusable}." if unusable else "")
    return Recommendation(pairs, table, judged, ranker, [text for text in words if text], too_few)


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


def _usable_rankers() -> tuple[list[str], str]:
    """The rankers that run on this machine, and why LambdaRank is not among them where it is not."""
    try:
        importlib.import_module("lightgbm")
    except (ImportError, OSError) as error:  # its wheels need the system's OpenMP library
        return list(rankers.QUICK), f"LightGBM cannot be loaded here ({error}); it needs OpenMP (libgomp1, libomp)"
    return list(rankers.RANKERS), ""


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
        listed = ", ".join(sorted({*LANGUAGES, *found.families}))
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
        return {}, f"Distances are not URIEL's, which lacks {', '.join(lacking)}."
    rootless = [code for code, one in found.items() if not one.lineage]
    if rootless:
        found = {code: replace(one, lineage=()) for code, one in found.items()}
        return found, f"Distances are URIEL's, but for genetic ones: it has no family of {', '.join(rootless)}."
    return found, "Distances are URIEL's."


def read_text(path: Path) -> list[list[str]]:
    """The lines of a text file, or of all ``*.txt`` files in a folder in the order of their names, as words.

    Words are cut as in corpora, punctuation apart (`nertransfer.corpora.words.split_text`); empty lines are left out.
    Raises InputError for a path that cannot be read, text that is not UTF-8, or no word at all.
    """
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    sentences = []
    for file in files:
        text = decode(read_file(file, "text"), file, "text").removeprefix(BYTE_ORDER_MARK)
        lines = running_lines(text, file, "text", "give columns as labelled")
        sentences += [[line[a:b] for a, b in split_text(line)] for _, line in lines]
    if not sentences:
        raise InputError(
            f"text={str(path)!r} has no word; it needs a UTF-8 text file, or *.txt files in a folder", "text"
        )
    return sentences


def read_tokenizer(folder: Path) -> Subtokens:
    """The sub-tokens of words by a folder's tokenizer.json. Raises InputError where there is none."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(f"tokenizer={str(folder)!r} has no tokenizer.json", "tokenizer")
    try:
        return of_words(read_file(path, "tokenizer").decode("utf-8"))
    except ValueError as error:
        raise InputError(f"tokenizer={str(folder)!r}: {path.name} is {error}", "tokenizer") from None


# --- in words ----------------------------------------------------------------------------------------------


def text(done: Recommendation, config: RankConfig) -> str:
    """The table and how far to trust it, to be printed."""
    return "\n\n".join(
        [
            f"Sources for {config.target} from {config.start}, ranked by {done.ranker} "
            f"({rankers.RANKERS[done.ranker].label}):",
            _listed(done.table),
            *(_unjudged(done, config) if done.too_few else _judged(done)),
            *done.words,
        ]
    )


def _listed(table: pd.DataFrame) -> str:
    measured = ["measured"] if "measured_f1" in table else []
    lines = [["", "source", "F1", "95 %", "regret", "95 %", *measured, "because"]]
    for row in table.to_dict("records"):
        lines.append(
            [str(row["place"]), row["source"], number(row["expected_f1"]), _limits(row["f1_low"], row["f1_high"])]
            + [number(row["expected_regret"]), _limits(row["regret_low"], row["regret_high"])]
            + [number(row["measured_f1"]) for _ in measured]
            + [row["because"]]
        )
    return aligned(lines, {1, len(lines[0]) - 1})


def _judged(done: Recommendation) -> list[str]:
    return [
        "Ways to rank, each target of the study left out in turn (regret: points of F1 behind the best source):",
        _judged_text(done.judged),
        _trust(done.judged, done.ranker),
    ]


def _unjudged(done: Recommendation, config: RankConfig) -> list[str]:
    """Which ways to rank there are without scores to judge them by, and why this one was taken."""
    learning = listing([name for name, ranker in rankers.RANKERS.items() if not ranker.needs])
    words = f"Expected F1, regret and their intervals are unknown, and {learning} cannot learn: {done.too_few}."
    if MEAN_TRANSFER not in done.pairs.features:
        words += " Nor is the best source on average known: no other target compares every source with another one."
    lines = [["", "order of the sources", ""]]
    for name in done.judged.table["ranker"]:
        lines.append([name, judging.order_in_words(done.pairs, name), rankers.RANKERS[name].label])
    chosen = (
        "the simplest of those that are left, and chosen for nothing else" if config.ranker == BEST else "asked for"
    )
    return [
        words,
        "Ways to rank that learn nothing, not judged (=: the two are equal):",
        aligned(lines, {0, 1, 2}),
        f"{done.ranker}: {chosen}; how good it is, this study does not tell.",
    ]


def _judged_text(judged: Judged) -> str:
    lines = [["", "regret", "95 %", "best of 3", "NDCG@3", "linear", "tau-b", ""]]
    for row in judged.table.to_dict("records"):
        lines.append(
            [row["ranker"], number(row["regret"]), _limits(row["regret_low"], row["regret_high"])]
            + [number(row["regret_top3"])]
            + [number(row[name], 2) for name in ("ndcg3_exponential", "ndcg3_linear", "kendall_tau_b")]
            + [row["label"]]
        )
    return aligned(lines, {0, len(lines[0]) - 1})


def _limits(low: float, high: float) -> str:
    return MISSING if math.isnan(low) else f"{number(low)} to {number(high)}"


def _trust(judged: Judged, ranker: str) -> str:
    """Which way to rank has the least regret, by how much, and whether that is more than chance."""
    table = judged.table[judged.table["ranker"].isin(list(rankers.RANKERS))].sort_values("regret", kind="stable")
    row = table.set_index("ranker").loc[ranker]
    text = (
        f"{ranker}: mean regret {number(row['regret'])} points over {count(int(row['targets']), 'target')} "
        f"(95 %: {_limits(row['regret_low'], row['regret_high'])})"
    )
    others = [name for name in table["ranker"] if name != ranker]
    if not others:
        return f"{text}."
    mean, low, high = judging.lead(judged, ranker, others[0])
    more = f"{number(mean)} less than {others[0]}" if mean >= 0 else f"{number(-mean)} more than {others[0]}"
    sure = "" if low > 0 or high < 0 else "; that may be chance"
    chosen = " Chosen for the least regret of all, which is a little too good." if ranker == judged.chosen else ""
    return f"{text}, {more} (difference, 95 %: {_limits(low, high)}){sure}.{chosen}"
