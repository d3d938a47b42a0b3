"""Download of the published corpora: pinned commit, checksums, cache.

MasakhaNER 1.0 (Adelani et al. 2021, ten languages), 2.0 (Adelani et al. 2022, twenty) and the corpora of forty
languages beside it (PER, ORG, LOC) from their repository https://github.com/masakhane-io/masakhane-ner at fixed
commits. The SHA-256 of every file is in ``checksums/<name>.sha256`` beside this file, as `sha256sum` writes it. The
cache is pooch's for this platform, or the folder in the environment variable NERTRANSFER_CACHE.
"""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from nertransfer.core.console import progress_bar
from nertransfer.core.errors import InputError
from nertransfer.core.schema import SPLITS
from nertransfer.corpora.languages import MASAKHANER, MASAKHANER2, TRANSFER

COMMIT = "624fe959f3889f0a27a5639b774c8fbc7b065291"
"""The commit whose files of MasakhaNER have the SHA-256 in ``checksums/``; older ones have others."""
HOST = "https://raw.githubusercontent.com"
CACHE_VARIABLE = "NERTRANSFER_CACHE"
TIMEOUT_SECONDS = 30

_REPOSITORY = "masakhane-io/masakhane-ner"
_CHECKSUMS = Path(__file__).parent / "checksums"


@dataclass(frozen=True)
class Published:
    """A published corpus: ``<folder>/<language>/<split>.txt`` in its repository at a ``commit``."""

    title: str
    folder: str
    languages: tuple[str, ...]
    citation: str
    licence: str = "CC BY-NC 4.0"
    licence_id: str = "cc-by-nc-4.0"
    terms: str = "no commercial use"
    commit: str = COMMIT

    @property
    def base_url(self) -> str:
        """The address in front of ``<language>/<split>.txt``."""
        return f"{HOST}/{_REPOSITORY}/{self.commit}/{self.folder}/"

    @property
    def page(self) -> str:
        """The address where a person finds the files."""
        return f"https://github.com/{_REPOSITORY}/tree/{self.commit}/{self.folder}"


CORPORA = {
    "masakhaner": Published(
        "MasakhaNER 1.0",
        "data",
        MASAKHANER,
        "Adelani et al. (2021), MasakhaNER: Named Entity Recognition for African Languages, TACL 9",
    ),
    "masakhaner2": Published(
        "MasakhaNER 2.0",
        "MasakhaNER2.0/data",
        MASAKHANER2,
        "Adelani et al. (2022), MasakhaNER 2.0: Africa-centric Transfer Learning for Named Entity Recognition, EMNLP",
    ),
    "masakhane_transfer": Published(
        "the transfer corpora of MasakhaNER 2.0",
        "MasakhaNER2.0/transfer_corpus",
        TRANSFER,
        "Adelani et al. (2022), MasakhaNER 2.0: Africa-centric Transfer Learning for Named Entity Recognition, EMNLP, "
        "and the corpus of each language",
        licence="that of each language's corpus",
        licence_id="unknown",
        terms="several allow no commercial use",
        commit="ba5843cd08aa491d5f96a5e809e71eb9ec461391",
    ),
}
LANGUAGES = {name: published.languages for name, published in CORPORA.items()}


def cache_folder() -> Path:
    """The folder of all downloads: $NERTRANSFER_CACHE, or the platform's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("nertransfer")).expanduser()


def registry(name: str) -> dict[str, str]:
    """``sha256:<hex>`` of every file ``<language>/<split>.txt`` of a published corpus."""
    lines = (_CHECKSUMS / f"{name}.sha256").read_text(encoding="utf-8").splitlines()
    return {path: f"sha256:{digest}" for digest, path in (line.split() for line in lines)}


def published_as(language: str, split: str, digest: str) -> str | None:
    """The name in `CORPORA` of the published corpus that has this very file, by its SHA-256 in hexadecimal."""
    wanted = f"sha256:{digest}"
    return next((name for name in CORPORA if registry(name).get(f"{language}/{split}.txt") == wanted), None)


def ensure(name: str, languages: Sequence[str]) -> Path:
    """The folder ``<language>/<split>.txt`` of a published corpus with the files of ``languages`` in it.

    Files are downloaded where the cache lacks them or has others than the checksums say, each one
    beside its place and moved there when its checksum is right. Raises InputError that says how
    to do without the download when it fails, and for a corpus or language that does not exist.
    """
    if name not in CORPORA:
        raise InputError(f"data={name!r} is not a published corpus: one of {', '.join(CORPORA)}")
    published = CORPORA[name]
    unknown = [code for code in languages if code not in published.languages]
    if unknown:
        raise InputError(f"{published.title} has no {', '.join(unknown)}; it has {', '.join(published.languages)}")
    folder = cache_folder() / name
    known = registry(name)
    files = [f"{code}/{split}.txt" for code in languages for split in SPLITS]
    wanted = [f for f in files if not _is_cached(folder / f, known[f])]
    if not wanted:
        return folder
    # pooch logs a line for every file it fetches; the bar and the line below say the same.
    pooch.get_logger().setLevel(logging.WARNING)
    tqdm.write(
        f"Downloading {published.title} ({', '.join(languages)}) into {folder}. Licence: {published.licence} "
        f"({published.terms}). Cite: {published.citation}.",
        file=sys.stderr,
    )
    fetcher = pooch.create(path=folder, base_url=published.base_url, registry=known)
    download = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS)
    with progress_bar(len(wanted), published.title, "file") as bar:
        for file in wanted:
            try:
                fetcher.fetch(file, downloader=download)
            except (requests.RequestException, OSError, ValueError) as error:
                raise InputError(_advice(name, published, file, folder, error)) from error
            bar.update()
    return folder


def is_complete(name: str, languages: Sequence[str]) -> bool:
    """Whether the cache has the files of these languages as the checksums say."""
    folder, known = cache_folder() / name, registry(name)
    return all(_is_cached(folder / f"{code}/{split}.txt", known[f"{code}/{split}.txt"])
               for code in languages for split in SPLITS)  # fmt: skip


def _is_cached(path: Path, known_hash: str) -> bool:
    return path.is_file() and pooch.file_hash(str(path), alg="sha256") == known_hash.removeprefix("sha256:")


def _advice(name: str, published: Published, file: str, folder: Path, error: Exception) -> str:
    url = published.base_url + file
    if isinstance(error, requests.HTTPError) and error.response is not None:
        reason = f"{url} answers with status {error.response.status_code}"
    elif isinstance(error, requests.RequestException):
        reason = f"{url} cannot be reached ({type(error).__name__})"
    elif isinstance(error, ValueError):
        reason = (
            f"{url} sends another file than expected: commit {published.commit} was asked for, and the SHA-256 is not "
            f"the pinned {registry(name)[file]}"
        )
    else:
        reason = f"{folder / file} cannot be written ({error})"
    return (
        f"data={name}: {reason}. No wrong file was stored. To do without the download, get "
        f"<language>/{{{','.join(SPLITS)}}}.txt from {published.page} elsewhere and pass their folder as data=<folder>"
    )
