"""What a user of the documented commands has: a checkout, corpora, texts, a model, published results, starts.

The checkout is a copy of this one with smaller numbers (`SMALLER`) and the checksums of tiny corpora, so that the very
commands take a second each, and with a port that is free. Nothing else in it differs.
"""

import hashlib
import json
import os
import shutil
import socket
from pathlib import Path

from project_scripts import ROOT
from published_folders import save_published_results
from tiny import cache_tiny_start, save_tiny_corpora, texts_of
from tiny_models import save_tiny_tagger

from nertransfer.core.options import DataOptions
from nertransfer.corpora.corpus import load
from nertransfer.corpora.download import CACHE_VARIABLE
from nertransfer.corpora.languages import MASAKHANER
from nertransfer.encoders.catalogue import CATALOGUE

CHECKOUT = ("MLproject", "analysis", "conda.yaml", "entrypoints", "nertransfer", "studies")
SMALLER = (
    ("analysis/report/plots.py", "PNG_DPI = 200", "PNG_DPI = 50"),
    ("nertransfer/core/options.py", "epochs: int = option(50,", "epochs: int = option(1,"),
    ("nertransfer/core/options.py", '"planted": Recipe(epochs=8,', '"planted": Recipe(epochs=1,'),
    ("nertransfer/core/config.py", "option((0, 1, 2), ", "option((0,), "),
    ("nertransfer/studies/costs.py", "XLMRobertaConfig(vocab_size=250_002,", "XLMRobertaConfig(num_hidden_layers=1,"),
    ("nertransfer/corpora/planted/settings.py", "train_sentences: int = 500", "train_sentences: int = 24"),
    ("nertransfer/corpora/planted/settings.py", "dev_sentences: int = 120", "dev_sentences: int = 12"),
    ("nertransfer/corpora/planted/settings.py", "test_sentences: int = 200", "test_sentences: int = 12"),
    ("nertransfer/corpora/planted/settings.py", "text_sentences: int = 2000", "text_sentences: int = 40"),
    ("nertransfer/corpora/planted/settings.py", '    Language("qke", "Kelwe", "Kelwic", _MADE_UP),\n', ""),
    ("nertransfer/corpora/planted/settings.py", '    Language("qse", "Sevrin", "Sorsic", _MADE_UP),\n', ""),
    ("nertransfer/corpora/planted/settings.py", '    Language("qso", "Solmar", "Sorsic", _MADE_UP),\n', ""),
    (
        "nertransfer/studies/speed.py",
        "TRAINING_SECONDS, SCORING_SECONDS = 6.0",
        "TRAINING_SECONDS, SCORING_SECONDS = 0.2",
    ),
    ("nertransfer/training/planted_starts.py", "vocabulary: int = 3000", "vocabulary: int = 300"),
    ("nertransfer/training/planted_starts.py", "hidden_size: int = 96", "hidden_size: int = 16"),
    ("studies/planted.yaml", "seeds: [0, 1, 2, 3, 4]", "seeds: [1]"),
)
"""File, what stands there once, and what stands there in the copy."""
LANGUAGES = ("hau", "ibo", "swa", "wol")
"""Those of a corpus folder that the user has."""
HUB = (CATALOGUE["base"], CATALOGUE["swa"])
"""Starts in the hub's cache."""
PUBLISHED = "https://github.com/Michael-Beukman/NERTransfer"


def make(folder: Path) -> int:
    """Make all of it in an empty folder. Returns the port that serves there by default, a free one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    copy_checkout(folder, port)
    save_corpora(folder)
    for number, name in enumerate(HUB):
        cache_tiny_start(folder / "hub" / "hub", name, number, longest=256, layers=3)
    save_tiny_tagger(folder / "downloads")
    (folder / "downloads" / "tagger").rename(folder / "downloads" / "model")
    published = load(DataOptions(str(folder / "path" / "to" / "masakhaner"), languages=("hau", "swa", "wol")))
    save_published_results(folder / "upstream", published)
    return port


def environment(folder: Path) -> dict[str, str]:
    """What the commands find around them, but for PATH."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HF_", "GIT_"))} | {
        "PYTHONPATH": str(folder),
        CACHE_VARIABLE: str(folder / "cache"),
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{folder / 'upstream'}.insteadOf",
        "GIT_CONFIG_VALUE_0": PUBLISHED,
    }


def copy_checkout(folder: Path, port: int) -> None:
    for name in CHECKOUT:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, folder / name)
    ports = (
        ("nertransfer/core/config.py", "port: int = option(5001,", f"port: int = option({port},"),
        ("MLproject", "port: {type: float, default: 5001}", f"port: {{type: float, default: {port}}}"),
        ("nertransfer/core/config.py", "port: int = option(5000,", f"port: int = option({port},"),
        ("MLproject", "port: {type: float, default: 5000}", f"port: {{type: float, default: {port}}}"),
    )
    for name, old, new in (*SMALLER, *ports):
        text = (folder / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times: adapt SMALLER"
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")


def save_corpora(folder: Path) -> None:
    """The downloads' cache and its checksums, folders of corpora, and texts."""
    cache = folder / "cache" / "masakhaner"
    save_tiny_corpora(cache, MASAKHANER, 12)
    save_tiny_corpora(folder / "large", ("wol",), 500)  # as many as a study of few sentences takes
    (folder / "large" / "wol" / "train.txt").replace(cache / "wol" / "train.txt")
    sums = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(cache.glob("*/*.txt"))}
    lines = [f"{digest}  {path.parent.name}/{path.name}\n" for path, digest in sums.items()]
    (folder / "nertransfer" / "corpora" / "checksums" / "masakhaner.sha256").write_text("".join(lines))
    for language in LANGUAGES:
        shutil.copytree(cache / language, folder / "path" / "to" / "masakhaner" / language)
    save_tiny_corpora(folder / "path" / "to" / "folder", ("aaa", "bbb"), 10)
    save_tiny_corpora(folder / "mydata", ("hau", "new"), 10)
    save_tiny_corpora(folder, ("zul",), 10)
    for split in ("train", "dev", "test"):  # as others have them
        text = (folder / "mydata" / "hau" / f"{split}.txt").read_text(encoding="utf-8")
        theirs = folder / "theirs" / f"hau_{split}.conll"
        theirs.parent.mkdir(exist_ok=True)
        theirs.write_text(text.replace("-PER", "-person"), encoding="utf-8")
    test = folder / "mydata" / "hau" / "test.txt"
    shutil.copy(test, folder / "last_year.txt")
    (folder / "gliner").mkdir()
    found = [json.dumps({"text": text, "entities": [["Nobody", "PER"]]}) for text in texts_of(test)]
    (folder / "gliner" / "hau.jsonl").write_text("\n".join(found) + "\n", encoding="utf-8")
    shutil.copytree(folder / "gliner", folder / "llm")
    texts = {"news.txt": "mydata/hau/test.txt", "hausa.txt": "mydata/hau/train.txt", "zulu.txt": "zul/train.txt"}
    for name, corpus in texts.items():
        (folder / name).write_text("\n".join(texts_of(folder / corpus)) + "\n", encoding="utf-8")
    shutil.copy(folder / "mydata" / "hau" / "test.txt", folder / "test.txt")
