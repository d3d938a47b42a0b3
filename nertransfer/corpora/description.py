"""Corpora described for people: rows -> aligned text, findings -> text; rows -> CSV file."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nertransfer.core.errors import InputError
from nertransfer.core.files import make_folder
from nertransfer.core.schema import SPLITS
from nertransfer.core.text import aligned, count
from nertransfer.corpora import labels
from nertransfer.corpora.conll import FINDINGS
from nertransfer.corpora.corpus import Corpus

_ODD = tuple(kind for kind in FINDINGS if kind not in ("stray_tags", "document_starts"))
DIGEST_SHOWN = 12
"""Hexadecimal digits of a digest in the table; the CSV file has all 64."""


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """`corpus.summary_rows` as an aligned table with a header.

    "odd" adds up all findings but stray tags and document starts; "in train" counts the
    sentences of dev and test that stand in train, too.
    """
    categories = [key for key in rows[0] if key.startswith(ENTITIES)] if rows else []
    header = ["language", "split", "sentences", "words", "entities", *(c.removeprefix(ENTITIES) for c in categories)]
    lines = [[*header, "stray", "odd", "in train", "digest"]]
    for row in rows:
        numbers = [row[key] for key in ("sentences", "words", "entities", *categories, "stray_tags")]
        repeated = "-" if row["in_train"] is None else f"{row['in_train']:,}"
        lines.append(
            [row["language"], row["split"]]
            + [f"{n:,}" for n in [*numbers, sum(row[kind] for kind in _ODD)]]
            + [repeated, row["digest"][:DIGEST_SHOWN]]
        )
    names = (0, 1, len(lines[0]) - 1)  # everything else is a number
    return aligned(lines, names)


def findings_text(corpora: Mapping[str, Corpus]) -> str:
    """What is odd in the corpora, one paragraph per kind, each file with its first line numbers."""
    paragraphs = [
        [f"{kind}: {means}", *examples]
        for kind, means in FINDINGS.items()
        if (examples := list(_examples(corpora, kind)))
    ]
    for kind, lines in (("categories", _category_findings(corpora)), ("in train", _repeated_findings(corpora))):
        if found := list(lines):
            paragraphs.append([f"{kind}:", *found])
    if not paragraphs:
        return "Findings: none"
    return "\n".join(["Findings, read as they stand:", *("\n".join(p) for p in paragraphs)])


def _examples(corpora: Mapping[str, Corpus], kind: str) -> Iterator[str]:
    for corpus in corpora.values():
        for name in SPLITS:
            findings = corpus.splits[name].findings
            seen = getattr(findings, kind)
            if seen.count:
                first, *others = seen.lines
                also = f", also line{'s' * (len(others) > 1)} {', '.join(map(str, others))}" if others else ""
                yield f"  {findings.path}:{first} ({seen.count} in all{also})"


def _category_findings(corpora: Mapping[str, Corpus]) -> Iterator[str]:
    for language, corpus in corpora.items():
        if not corpus.train.sentences:
            yield f"  {language}: test alone; it can be a target, and no source"
            continue
        if not corpus.categories:
            yield f"  {language}: the train split has no entity; a model of it can predict none"
        for name in ("dev", "test"):
            if not labels.categories_of(corpus.splits[name].tags):
                yield f"  {language}: {name} has no entity; F1 on it is not defined"
        for name, unseen in corpus.unseen_categories.items():
            if unseen:
                yield f"  {language}: {name} has {', '.join(unseen)}, which train lacks; these score 0 from this source"


def _repeated_findings(corpora: Mapping[str, Corpus]) -> Iterator[str]:
    for language, corpus in corpora.items():
        for name, number in duplicates(corpus).items():
            if number:
                total = count(len(corpus.splits[name].sentences), "sentence")
                yield f"  {language}: {number:,} of {total} of {name} stand in train; F1 there overstates new text's"


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """All rows and keys as a CSV file; makes its folder. Raises InputError where it cannot be written."""
    make_folder(path.parent, "output")
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise InputError(f"output: {path} cannot be written: {error.strerror}", "output") from error


# --- descriptions ---------------------------------------------------------------------------

ENTITIES = "entities_"
"""Prefix of the key of a category's entities in a summary row."""


def duplicates(corpus: Corpus) -> dict[str, int]:
    """Number of sentences of dev and of test whose words also stand as a sentence of train."""
    train = {sentence.words for sentence in corpus.train.sentences}
    return {name: sum(s.words in train for s in corpus.splits[name].sentences) for name in ("dev", "test")}


def summary_rows(corpora: Mapping[str, Corpus]) -> list[dict[str, Any]]:
    """One row per (language, split) with the same keys in each; ``digest`` is the full one of the file.

    Keys: language, split, sentences, words, entities, ``entities_<category>`` for every category
    of any corpus, one per kind of `Findings`, in_train (sentences that also stand in train; None
    for train itself), unseen_categories (comma-separated), digest.
    """
    entities = {
        (language, name): Counter(category for s in split.sentences for _, _, category in labels.spans(s.tags))
        for language, corpus in corpora.items()
        for name, split in corpus.splits.items()
    }
    categories = sorted(set().union(*entities.values()))
    rows: list[dict[str, Any]] = []
    for language, corpus in corpora.items():
        repeated, unseen = duplicates(corpus), corpus.unseen_categories
        for name in SPLITS:
            split, counts = corpus.splits[name], entities[language, name]
            if not split.sentences:  # of a language that is only a target
                continue
            rows.append(
                {
                    "language": language,
                    "split": name,
                    "sentences": len(split.sentences),
                    "words": split.number_of_words,
                    "entities": counts.total(),
                    **{ENTITIES + category: counts[category] for category in categories},
                    **{kind: getattr(split.findings, kind).count for kind in FINDINGS},
                    "in_train": repeated.get(name),
                    "unseen_categories": ",".join(unseen.get(name, ())),
                    "digest": split.digest,
                }
            )
    return rows
