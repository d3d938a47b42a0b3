"""Malformed files and parameters of every entry point: one line, the right status, and nothing is changed.

The tables are `FILES`, what may stand in a file's place, `HOLDERS`, which files people give, and `PARAMETERS`.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from analysis_store import log_cell
from entry_points import start
from folder_store import make_store, opened
from stub_hub import forget_the_hub
from tiny import save_tiny_corpora, save_tiny_start
from tiny_models import save_tiny_tagger

from nertransfer.core import schema
from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus

DIGITS = b"9" * 5000
FILES: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: path.mkdir(),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "pipe": lambda path: os.mkfifo(path),
    "empty": lambda path: path.touch(),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "zero bytes": lambda path: path.write_bytes(b"a\0b O\n\0\0\n"),
    "latin-1": lambda path: path.write_text("naïve O\n", encoding="latin-1"),
    "utf-16": lambda path: path.write_text("word O\n", encoding="utf-16"),
    "deep": lambda path: path.write_bytes(b"[" * 5_000),
    "deep mapping": lambda path: path.write_bytes(b'{"a":' * 5_000),
    "digits": lambda path: path.write_bytes(b'{"hidden_size": ' + DIGITS + b"}"),
    "null": lambda path: path.write_bytes(b"null"),
    "empty list": lambda path: path.write_bytes(b"[]"),
}
"""What may stand in a file's place."""
NO_FILE = ("folder", "dangling link", "link to itself", "pipe")
NO_UTF8 = ("binary", "latin-1", "utf-16")
NO_TEXT = (*NO_FILE, "empty", *NO_UTF8)
TAGGED = "aaa_v10_start_base__aaa__0_50"
START = "data=data starts=t=tiny plan=true device=cpu"
EMPTY = "tracking_uri=sqlite:///empty.db"
HOLDERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "my.yaml": ("study", "my.yaml plan=true", tuple(FILES)),
    "data/aaa/train.txt": ("data", "data", tuple(FILES)),
    "data/aaa/dev.txt": ("study", START, NO_TEXT),
    "data/bbb/test.txt": ("train", f"source=aaa data=data start=t=tiny device=cpu {EMPTY}", NO_TEXT),
    "corpora": ("data", "corpora", NO_TEXT),
    "tiny/config.json": ("study", START, tuple(FILES)),
    "tiny/tokenizer.json": ("study", START, tuple(FILES)),
    "tiny/tokenizer_config.json": ("study", START, (*NO_FILE, *NO_UTF8, "deep", "digits", "null")),
    "tiny/model.safetensors": ("study", START, (*NO_TEXT, "deep")),
    "start": ("embed", f"data models=./start device=cpu data=data {EMPTY}", NO_TEXT),
    "text.txt": ("adapt", f"language=aaa text=text.txt start=t=tiny device=cpu {EMPTY}", NO_TEXT),
    "input.txt": ("predict", "input.txt model=./tagger device=cpu", NO_TEXT),
    "columns.txt": ("predict", "columns.txt input_format=conll model=./tagger device=cpu", NO_TEXT),
    "tagger/config.json": ("predict", "Abc model=./tagger device=cpu", (*NO_TEXT, "deep", "digits", "null")),
    "tagger/model.safetensors": ("evaluate", f"./tagger data=data device=cpu {EMPTY}", (*NO_TEXT, "deep")),
    "results": ("import_results", f"results=results data=data {EMPTY}", NO_TEXT),
    f"published/{TAGGED}/test_results.txt": ("import_results", f"results=published data=data {EMPTY}", NO_FILE),
    "one.db": ("analyse", "data tracking_uri=sqlite:///one.db", ("dangling link", "pipe", "empty", "binary", "deep")),
    "store.db": ("register", "data tracking_uri=sqlite:///store.db", ("folder", "dangling link", "pipe", "empty")),
    "labelled.txt": ("rank", "zul data=data labelled=labelled.txt", ("pipe", "empty")),
    "words.txt": ("rank", "zul data=data text=words.txt", ("folder", "utf-16")),
    "pieces/tokenizer.json": (
        "rank",
        "zul data=data tokenizer=pieces",
        ("binary", "deep"),
    ),
}
"""The file, the entry point that is given it, its other parameters, and what may not stand in its place."""
PARAMETERS = (
    "study seeds=1-99999999999999999999999", "study seeds=9999999999999999999999", "study learning_rate=nan",
    "study workers=-1", "study plan=perhaps", "study nosuch=1", "study data=nosuch", "study a.yaml b.yaml",
    "train source=x", "train data=data", "train data=data source=aaa start=nosuch", "data", "data nosuch",
    "adapt", "adapt language=aaa", "evaluate", "evaluate nosuch data=data", "evaluate ./tagger data=data splits=x",
    "embed layers=0", "register nosuch", "register tracking_uri=sqlite:///nosuch/x.db", "models languages=../x",
    "rollback", "rollback aaa version=-1", "rollback zzz", "rollback aaa version=99", "export", "export language=zzz",
    "export model=nosuch", "predict Abc language=zzz", "predict nosuch.txt language=aaa", "predict Abc threshold=2",
    "serve port=99999", "serve language=aaa model=x", "serve language=zzz port=0", "ui port=x",
    "ui tracking_uri=sqlite:///nosuch.db", "import_results", "import_results results=data data=data",
    "import_predictions", "import_predictions predictions=nosuch system=x source=none data=data",
    "import_predictions predictions=data system=../x source=none data=data", "analyse nosuch",
    "analyse order=x", "rank", "rank target=../x", "rank zul data=data encoder=nosuch", "relocate old=x",
    "relocate new=nosuch",
    "models tracking_uri=http://[", "models tracking_uri=http://host:abc", "models tracking_uri=http://host:99999",
    "relocate tracking_uri=http://127.0.0.1:1", "study tracking_uri=ftp://x", "analyse tracking_uri=sqlite:///data",
)  # fmt: skip
"""Words of command lines."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder, with all that people give, in order."""
    folder = tmp_path_factory.mktemp("place")
    save_tiny_corpora(folder / "data", sentences=6)
    save_tiny_start(folder / "tiny")
    save_tiny_tagger(folder / "made").rename(folder / "tagger")
    shutil.rmtree(folder / "made")
    for name in ("pieces", f"published/{TAGGED}"):
        (folder / name).mkdir(parents=True)
    for name in ("eval_results.txt", "test_results.txt", "test_predictions.txt"):
        (folder / "published" / TAGGED / name).touch()
    shutil.copy(make_store(folder), folder / "empty.db")
    study = opened(folder, "data")
    digests = schema.packed(schema.CORPUS_DIGESTS, corpus.digests(DataOptions(str(folder / "data"))))
    for source in ("aaa", "bbb"):
        log_cell(study.client, study.experiment_id, ("base", source, 0), ["aaa", "bbb"], tags=digests)
    for name in ("mlflow.db.lock", "empty.db.lock"):
        (folder / name).touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder


def state(folder: Path) -> dict[str, str]:
    """A digest of every file below a folder, by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


def wrong(place: Path, script: str, words: str, capsys: pytest.CaptureFixture[str], expected: int = 2) -> str:
    """What is not as it should be when an entry point refuses these words; empty where all is."""
    forget_the_hub()
    before = state(place)
    status, said = start(script, *words.split()), capsys.readouterr()
    after = state(place)
    changed = sorted(name for name in {*before, *after} if before.get(name, "-") != after.get(name, "-"))
    lines = said.err.splitlines()
    fine = status == expected and len(lines) == 1 and lines[0].startswith("error: ") and not said.out and not changed
    return "" if fine else f"status {status}, changed: {changed}, {said.err[-500:]} {said.out[-500:]}"


@pytest.mark.parametrize("name", HOLDERS)
def test_a_malformed_file_is_refused(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script, words, kinds = HOLDERS[name]
    path, aside, found = place / name, place / "aside", {}
    if path.exists():
        path.rename(aside)
    for kind in kinds:
        FILES[kind](path)
        found[kind] = wrong(place, script, words, capsys)
        path.rmdir() if path.is_dir() else path.unlink()
    if aside.exists():
        aside.rename(path)
    assert not {kind: what for kind, what in found.items() if what}


def test_malformed_parameters_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {line: wrong(place, *line.partition(" ")[::2], capsys) for line in PARAMETERS}
    assert not {line: what for line, what in found.items() if what}


def test_there_are_many() -> None:
    assert sum(len(kinds) for _, _, kinds in HOLDERS.values()) + len(PARAMETERS) > 200
