"""Downloads, against a server on this machine: checksums, cache, and failures that say what to do."""

import csv
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback import serving
from stub_corpora import REPOSITORY, Repository

from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.corpora import download
from nertransfer.corpora.corpus import load
from nertransfer.corpora.languages import LANGUAGES, MASAKHANER, MASAKHANER2, TRANSFER

FILES = {
    f"{code}/{split}.txt": f"{code} B-LOC\n{split} O\n O\na b O\n".encode()
    for code in ("swa", "hau")
    for split in ("train", "dev", "test")
}


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the server will serve; the checksums are those of `FILES`, the cache is fresh."""
    known = {name: f"sha256:{hashlib.sha256(data).hexdigest()}" for name, data in FILES.items()}
    monkeypatch.setattr(download, "registry", lambda name: known)
    fresh_cache(tmp_path, monkeypatch)
    return {f"data/{name}": data for name, data in FILES.items()}


def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "cache"))
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def server(upstream: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    with serving(Repository(upstream)) as running:
        monkeypatch.setattr(download, "HOST", running.address)
        yield running


def stored(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "cache" / "masakhaner"
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_only_the_asked_languages_are_fetched_and_kept(
    server: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = download.ensure("masakhaner", ("hau",))
    assert folder == tmp_path / "cache" / "masakhaner"
    assert stored(tmp_path) == {name: data for name, data in FILES.items() if name.startswith("hau/")}
    assert sorted(server.asked) == ["data/hau/dev.txt", "data/hau/test.txt", "data/hau/train.txt"]
    told = capsys.readouterr()
    assert "CC BY-NC 4.0" in told.err and "Adelani et al. (2021)" in told.err
    assert told.out == ""


def test_a_second_call_needs_no_server(server: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    first = download.ensure("masakhaner", ("swa",))
    asked = len(server.asked)
    monkeypatch.setattr(download.pooch, "HTTPDownloader", None)
    assert download.ensure("masakhaner", ("swa",)) == first
    assert len(server.asked) == asked


def test_a_file_changed_in_the_cache_is_fetched_again(server: Repository, tmp_path: Path) -> None:
    folder = download.ensure("masakhaner", ("swa",))
    (folder / "swa" / "dev.txt").write_bytes(FILES["swa/dev.txt"][:-1])
    server.asked.clear()
    download.ensure("masakhaner", ("swa",))
    assert server.asked == ["data/swa/dev.txt"]
    assert stored(tmp_path)["swa/dev.txt"] == FILES["swa/dev.txt"]


def test_another_file_than_pinned_is_refused_and_not_stored(server: Repository, tmp_path: Path) -> None:
    server.files["data/swa/dev.txt"] = b"other O\n"
    with pytest.raises(InputError) as caught:
        download.ensure("masakhaner", ("swa",))
    told = str(caught.value)
    assert f"swa/dev.txt sends another file than expected: commit {download.COMMIT} was asked for" in told
    assert "SHA-256" in told
    assert "data=<folder>" in told
    assert f"https://github.com/masakhane-io/masakhane-ner/tree/{download.COMMIT}/data " in told
    assert list(stored(tmp_path)) == ["swa/train.txt"]  # what came before it was right and is kept


def test_a_file_that_is_not_there_tells_address_and_status(server: Repository) -> None:
    del server.files["data/swa/train.txt"]
    with pytest.raises(InputError, match=rf"/{download.COMMIT}/data/swa/train\.txt answers with status 404"):
        download.ensure("masakhaner", ("swa",))


def test_no_network_says_how_to_do_without(
    upstream: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Repository(upstream)) as gone:
        monkeypatch.setattr(download, "HOST", gone.address)
    with pytest.raises(InputError) as caught:
        load(DataOptions(data="masakhaner", languages=("swa",)))
    told = str(caught.value)
    assert f"{download.CORPORA['masakhaner'].base_url}swa/train.txt cannot be reached (ConnectionError)" in told
    assert "<language>/{train,dev,test}.txt" in told and "data=<folder>" in told
    assert stored(tmp_path) == {}


def test_a_cache_that_cannot_be_written_is_bad_input(
    server: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot be written"):
        download.ensure("masakhaner", ("swa",))


def test_what_is_odd_in_a_published_corpus_is_read_and_reported(server: Repository) -> None:
    corpora = load(DataOptions(data="masakhaner", languages=("swa", "hau")))
    assert list(corpora) == ["swa", "hau"]
    train = corpora["swa"].train
    assert train.sentences[0].words == ("swa", "train", "", "a")
    assert (train.findings.empty_words.count, train.findings.empty_words.lines) == (1, (3,))
    assert (train.findings.uneven_columns.count, train.findings.uneven_columns.lines) == (1, (4,))


def test_unknown_names_list_what_exists() -> None:
    with pytest.raises(InputError, match=r"MasakhaNER 1\.0 has no zul; it has amh, hau"):
        download.ensure("masakhaner", ("zul",))
    with pytest.raises(InputError, match="one of masakhaner, masakhaner2, masakhane_transfer"):
        download.ensure("conll", ("eng",))


@pytest.mark.parametrize(
    ("name", "languages"),
    [("masakhaner", MASAKHANER), ("masakhaner2", MASAKHANER2), ("masakhane_transfer", TRANSFER)],
)
def test_every_file_of_a_published_corpus_has_a_checksum(name: str, languages: tuple[str, ...]) -> None:
    known = download.registry(name)
    assert set(known) == {f"{code}/{split}.txt" for code in languages for split in ("train", "dev", "test")}
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", value) for value in known.values())


def test_every_language_of_a_published_corpus_is_known_by_its_code() -> None:
    """Families, places and scripts, whichever code a corpus has."""
    for published in download.CORPORA.values():
        for code in published.languages:
            one = LANGUAGES[code]
            assert one.place is not None and one.lineage and one.family and one.script, code
    assert LANGUAGES["en"] is LANGUAGES["eng"] and LANGUAGES["am"] is LANGUAGES["amh"]
    assert {len(TRANSFER), len(set(TRANSFER))} == {40} and len(MASAKHANER2) == 20


def upstream_files(shared_data: Path) -> list[dict[str, str]]:
    """Every file of the corpora in their repository: corpus, commit, path, sha256."""
    text = (shared_data / "checksums" / "upstream.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))


@pytest.mark.parametrize("name", list(download.CORPORA))
def test_every_address_is_one_of_the_repository_with_the_pinned_checksum(shared_data: Path, name: str) -> None:
    rows = [row for row in upstream_files(shared_data) if row["corpus"] == name]
    there = {f"{download.HOST}/{REPOSITORY}/{row['commit']}/{row['path']}": f"sha256:{row['sha256']}" for row in rows}
    assert there == {download.CORPORA[name].base_url + file: digest for file, digest in download.registry(name).items()}
    assert download.HOST.startswith("https://")


def test_the_real_corpora_arrive_from_their_repository(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but Amharic, whose published files are not at hand."""
    rows = [row for row in upstream_files(shared_data) if row["corpus"] == "masakhaner"]
    commits, paths = {row["commit"] for row in rows}, [row["path"] for row in rows if "/amh/" not in row["path"]]
    files = {path: (shared_data / "masakhaner" / path.removeprefix("data/")).read_bytes() for path in paths}
    fresh_cache(tmp_path, monkeypatch)
    with serving(Repository(files, *commits)) as server:
        monkeypatch.setattr(download, "HOST", server.address)
        download.ensure("masakhaner", [code for code in MASAKHANER if code != "amh"])
        assert sorted(server.asked) == sorted(files)
    assert stored(tmp_path) == {path.removeprefix("data/"): content for path, content in files.items()}


def test_checksums_agree_with_real_files(shared_data: Path) -> None:
    """All but Amharic: the copy of it that is used here is the published study's own."""
    known = download.registry("masakhaner")
    for name, value in known.items():
        if not name.startswith("amh/"):
            data = (shared_data / "masakhaner" / name).read_bytes()
            assert value == f"sha256:{hashlib.sha256(data).hexdigest()}", name


def test_real_files_in_the_cache_need_no_network(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(download.pooch, "HTTPDownloader", None)
    (tmp_path / "masakhaner").symlink_to((shared_data / "masakhaner").resolve())
    assert load(DataOptions(data="masakhaner", languages=("luo",)))["luo"].train.number_of_words == 18577
