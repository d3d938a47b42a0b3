"""Planted corpora: made-up languages whose relatedness is known, as a check on the whole pipeline.

Seven languages: two families of three and an isolate. A share of the vocabulary is identical
within a family, a small one between families; context words announce entities, before them in
one family and after them in the other. A measured transfer matrix should recover this:
transfer within a family above transfer between families, and the isolate last.

All numbers come from `PlantedSettings`, all chance from PCG64 streams with one explicit
`numpy.random.SeedSequence` key per purpose and language, so the same settings give the same
bytes everywhere. Codes are from qaa-qtz, which ISO 639-3 reserves for private use.
"""

import csv
import io
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from nertransfer.core.errors import InputError
from nertransfer.corpora.languages import Language
from nertransfer.corpora.planted.sentences import Sentence, Speaker
from nertransfer.corpora.planted.settings import ISOLATE, LANGUAGES, PlantedSettings, check, record
from nertransfer.corpora.planted.words import LABELLED, UNLABELLED, Stream, groups_of, lexicons_of

SETTINGS_FILE = "planted.json"
RELATEDNESS_FILE = "relatedness.csv"
TEXT_FILE = "text.txt"

_ATTEMPTS = 100
"""How often a sentence that exists already is replaced before it is taken all the same."""


def corpus(settings: PlantedSettings, code: str) -> dict[str, list[Sentence]]:
    """The labelled sentences of a language by split: train, dev, test. No sentence comes twice.

    (Unless the vocabulary is so small that new sentences run out.)
    """
    number, language = _find(code)
    speaker = Speaker(settings, language, Stream(settings.seed, LABELLED, number))
    seen: set[tuple[str, ...]] = set()

    def new_sentence() -> Sentence:
        for _ in range(_ATTEMPTS):
            sentence = speaker.sentence()
            if sentence[0] not in seen:
                break
        seen.add(sentence[0])
        return sentence

    return {split: [new_sentence() for _ in range(size)] for split, size in settings.splits.items()}


def text(settings: PlantedSettings, code: str) -> list[str]:
    """Unlabelled sentences of a language, words joined by spaces; drawn apart from the labelled ones."""
    number, language = _find(code)
    speaker = Speaker(settings, language, Stream(settings.seed, UNLABELLED, number))
    return [" ".join(speaker.sentence()[0]) for _ in range(settings.text_sentences)]


def _find(code: str) -> tuple[int, Language]:
    codes = [language.code for language in LANGUAGES]
    check(code in codes, "language", code, f"one of {', '.join(codes)}")
    return codes.index(code), LANGUAGES[codes.index(code)]


def relatedness(settings: PlantedSettings | None = None) -> list[dict[str, str | float]]:
    """The planted truth: one row per ordered pair of languages.

    ``relation`` is same, family, unrelated (the other family) or isolate (one of the two is the
    isolate). ``word_overlap`` and ``name_overlap`` are the shares, by expected frequency, of the
    target's ordinary words and of its names that the source's lexicon has too; measured on the
    lexicons as they came out, with names as they are written.
    """
    settings = settings or PlantedSettings()
    groups = groups_of(settings)
    lexicons = lexicons_of(settings)
    words, names = ({c: x.frequencies(groups, kind) for c, x in lexicons.items()} for kind in (False, True))
    return [
        {
            "source": source.code,
            "target": target.code,
            "relation": _relation(source, target),
            "word_overlap": _overlap(words[source.code], words[target.code]),
            "name_overlap": _overlap(names[source.code], names[target.code]),
        }
        for source in LANGUAGES
        for target in LANGUAGES
    ]


def _relation(source: Language, target: Language) -> str:
    if source == target:
        return "same"
    if ISOLATE in (source.family, target.family):
        return "isolate"
    return "family" if source.family == target.family else "unrelated"


def _overlap(source: Mapping[str, float], target: Mapping[str, float]) -> float:
    """Rounded: sums of floats may differ in the last digits between machines."""
    return round(math.fsum(share for word, share in target.items() if word in source), 6)


def write(folder: Path, settings: PlantedSettings | None = None) -> Path:
    """Write ``<language>/{train,dev,test,text}.txt``, relatedness.csv and planted.json into ``folder``.

    All or nothing: the folder appears complete, by one rename. A folder that holds the same
    settings is left as it is; raises InputError where it holds anything else.
    """
    settings = settings or PlantedSettings()
    folder = Path(folder)
    if _holds(folder, settings):
        return folder
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        for name, content in _files(settings):
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content.encode("utf-8"))
        try:
            temporary.rename(folder)
        except OSError:
            if not _holds(folder, settings):  # else another process was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _holds(folder: Path, settings: PlantedSettings) -> bool:
    """Whether the folder has the corpora of these settings; False where there is none or an empty one."""
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != json.loads(json.dumps(record(settings))):
        raise InputError(f"{folder} exists and holds something else than these planted corpora; remove or rename it")
    return True


def _files(settings: PlantedSettings) -> Iterator[tuple[str, str]]:
    """Path inside the folder and content of every file."""
    for language in LANGUAGES:
        for split, sentences in corpus(settings, language.code).items():
            yield f"{language.code}/{split}.txt", "\n".join(map(_conll, sentences))
        yield f"{language.code}/{TEXT_FILE}", "".join(f"{line}\n" for line in text(settings, language.code))
    table = io.StringIO()
    rows = relatedness(settings)
    writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    yield RELATEDNESS_FILE, table.getvalue()
    yield SETTINGS_FILE, json.dumps(record(settings), indent=2) + "\n"


def _conll(sentence: Sentence) -> str:
    return "".join(f"{word} {tag}\n" for word, tag in zip(*sentence, strict=True))
