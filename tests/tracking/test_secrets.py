"""Secrets do not get into what is printed or stored."""

import io
import itertools
import os
import string
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, quote_plus, unquote_plus

import pytest
from analysis_store import log_cell
from entry_points import start
from folder_store import make_store
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient

from analysis.report import report
from nertransfer.commands import mlflow_pages, project_run
from nertransfer.core import schema
from nertransfer.core.commandline import build, flat
from nertransfer.core.config import StudyConfig
from nertransfer.core.errors import InputError
from nertransfer.studies.executors.workers import cell_command
from nertransfer.studies.study import write_study_scripts
from nertransfer.tracking import runs, secrets, store
from nertransfer.tracking.store import Study


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No address has been given to this process yet."""
    monkeypatch.setattr(secrets, "_noted", set())
    for name, value in os.environ.items():
        if "://" in value or name in secrets.NAMED:
            monkeypatch.delenv(name)
    yield


def hidden(text: str, *addresses: str) -> str:
    secrets.note(addresses)
    return secrets.hide(text)


@pytest.mark.parametrize(
    ("address", "text", "left"),
    [
        ("postgresql://me:s3cr/t@host/db", "no postgresql://me:s3cr/t@host/db", "no postgresql://me:...@host/db"),
        ("http://me:s3cret%2F@host", "bad 's3cret/', s3cret%2F or s3cret%2f", "bad '...', ... or s3cret%2f"),
        ("tracking_uri=http://me:s3cret@host", "auth ('me', 's3cret') failed", "auth ('me', '...') failed"),
        ("http://me:s3cr3t/w0rd-1@host", "url: /w0rd-1@host, host='s3cr3t'", "url: /...@host, host='...'"),
        ("a=https://me:s3cret@b,c=https://me:w0rd-w0rd@d", "s3cret and w0rd-w0rd", "... and ..."),
        ("postgresql://host/db?password=s3cret&user=me", "s3cret of me", "... of me"),
        ("mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Ds3cret%3B", "UID=me;PWD=s3cret;", "UID=me;PWD=...;"),
        ("https://s3/x?X-Amz-Signature=0a1b2c&X-Amz-Date=1", "signature 0a1b2c of 1", "signature ... of 1"),
        ("https://ghp_0123456789@host/x.git", "ghp_0123456789", "..."),
        ("https://ghp_0123456789:x-oauth-basic@host/x.git", "ghp_0123456789", "..."),
        # words and what is short: only where a password stands
        ("postgresql://mlflow:mlflow@host/mlflow", "mlflow: 'mlflow:mlflow@host'", "mlflow: 'mlflow:...@host'"),
        ("http://me:ab@host", "about ab: http://me:ab@host, pwd=ab;", "about ab: http://me:...@host, pwd=...;"),
        # nothing is secret
        ("sqlite:////srv/me:a@work/mlflow.db", "/srv/me:a@work", "/srv/me:a@work"),
        ("ssh://git@host/x", "git 'git'", "git 'git'"),
        ("models:/ner-hau@champion", "models:/ner-hau@champion", "models:/ner-hau@champion"),
    ],
    ids=itertools.count(),  # pytest keeps a test's name in the environment
)
def test_what_an_address_holds_is_hidden_in_the_texts_of_libraries(address: str, text: str, left: str) -> None:
    assert hidden(text, address) == left


def test_secrets_of_the_environment_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pr0xy-pw@proxy:8080")
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a/b+c0123456789")
    assert secrets.hide("pr0xy-pw hf_s3cret a/b+c0123456789 a%2Fb%2Bc0123456789") == "... ... ... ..."
    monkeypatch.delenv("HF_TOKEN")
    assert secrets.hide("hf_s3cret") == "hf_s3cret"


@given(st.text(string.ascii_letters + string.digits + string.punctuation + " äß漢", min_size=5, max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_form_of_a_password_is_left(password: str) -> None:
    password = f"0{password.strip()}0"
    written = (password, quote(password, safe=""), quote_plus(password), quote(password), repr(f"x{password}")[2:-1])
    for uri in (f"postgresql://me:{password}@host/db", f"http://me:{quote(password, safe='')}@host"):
        secrets._noted.clear()
        text = hidden(" | ".join((*written, uri, quote(uri, safe=""), repr(uri))), uri)
        assert not any(form in text for form in written), text


def test_a_guarded_stream_prints_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stderr", printed)
    secrets.note(["http://me:s3cret@host"])
    secrets.guard("stderr")
    secrets.guard("stderr")
    print("no answer from http://me:s3cret@host", file=sys.stderr)
    sys.stderr.writelines(["s3cret\n", "the end\n"])
    sys.__excepthook__(ValueError, ValueError("s3cret"), None)
    assert printed.getvalue() == "no answer from http://me:...@host\n...\nthe end\nValueError: ...\n"
    assert not sys.stderr.isatty()


# --- everything that is written ---------------------------------------------------------------------------------------

SECRET = "S3cr3t/w0rd+x"
QUOTED = quote(SECRET, safe="")
STORES = {
    "database": f"postgresql://me:{QUOTED}@host/db?sslmode=require&sslpassword={QUOTED}",
    "raw database": f"postgresql://me:{SECRET}@host/db",
    "odbc": f"mssql+pyodbc:///?odbc_connect={quote_plus(f'DRIVER=x;UID=me;PWD={SECRET};')}",
    "server": f"http://me:{QUOTED}@127.0.0.1:1/base?access_token={QUOTED}",
    "token": f"http://{QUOTED}@127.0.0.1:1",
    "file": f"sqlite:///mlflow.db?key={QUOTED}",
}
TWO_WAYS = {
    "raw server": f"http://me:{SECRET}@host",
    "two hosts": f"postgresql://me:S3cr3t@{QUOTED}@host/db",
    "no scheme": f"me:{SECRET}@host",
}


COMMANDS = {
    "models": [], "analyse": [], "register": [], "rollback": ["--language", "swa"], "rank": ["--target", "swa"],
    "export": ["--language", "swa"], "relocate": [], "ui": [], "serve": ["--language", "swa"],
    "embed": ["--models", "x"],
}  # fmt: skip


def shown_in(text: str | bytes) -> list[str]:
    """The secret's forms, and parts, that a text holds."""
    text = text if isinstance(text, str) else text.decode("latin-1")
    return [form for form in (SECRET, QUOTED, quote_plus(SECRET), "S3cr3t", "w0rd") if form in text]


def holders(folder: Path) -> dict[str, list[str]]:
    """The files below a folder that hold the secret, in name or content."""
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*")}
    texts = {name: name.encode() + (p.read_bytes() if p.is_file() else b"") for name, p in found.items()}
    return {name: forms for name, text in texts.items() if (forms := shown_in(text))}


@pytest.mark.parametrize("kind", [*STORES, *TWO_WAYS])
def test_entry_points_refuse_a_store_without_its_password(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("psycopg", "pyodbc"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.chdir(tmp_path)
    address = (STORES | TWO_WAYS)[kind]
    for script, words in COMMANDS.items():
        assert start(script, *words, "--tracking_uri", address) == 2
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert start(script, *words) == 2
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        said = capsys.readouterr()
        assert said.out == "" and not shown_in(said.err), script
        assert said.err.count("\n") == 2 and said.err.count("error: ") == 2, said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        f"tracking_uri: http://me:{SECRET}@host",
        'tracking_uri: "http://me:S3cr3t\\x2fw0rd@host"',
        f"starts:\n- a=https://me:{QUOTED}@host/x\n- b=https://me:S3cr3t,w0rd@host",
        f"slurm:\n  setup: export PROXY=https://me:{QUOTED}@host\n  minutes: https://me:{QUOTED}@host",
    ],
    ids=itertools.count(),
)
def test_a_study_file_is_refused_without_its_passwords(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(text, encoding="utf-8")
    assert start("study", "my.yaml", "--plan", "true") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: my.yaml:") and not shown_in(said), said


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Study]:
    """A study at an address that no store is at: a database file answers."""

    def made(address: str) -> Study:
        file = f"sqlite:///{make_store(tmp_path)}"
        monkeypatch.setattr(store, "_answering", lambda *_: MlflowClient(file, file))
        for check in ("_check_database", "_check_connection"):
            monkeypatch.setattr(store, check, lambda *_: None)
        study = store.open_study(store.client(address), "mine")
        assert study.uri == address and study.experiment_id
        return study

    monkeypatch.chdir(tmp_path)
    return made


class Lost(Exception):
    """As a library writes what has gone wrong with an address."""


@pytest.mark.parametrize("kind", STORES)
def test_nothing_that_is_tracked_holds_a_password(
    kind: str, pretended: Callable[[str], Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = STORES[kind]
    study = pretended(address)
    config = build(StudyConfig, {"tracking_uri": address, "data": "planted"})
    repository = f"https://me:{QUOTED}@host/name.git"
    monkeypatch.setattr(runs, "resolve_tags", lambda: {"mlflow.source.git.repoURL": repository})
    told = " ".join((address, SECRET, repr(SECRET), unquote_plus(address)))
    with pytest.raises(Lost), runs.open_run(study, schema.KIND_CELL, "broken") as run_id:
        runs.log(study.client, run_id, params=runs.configuration_params(flat(config)))
        raise Lost(told)
    given = study.client.create_run(study.experiment_id, tags={"mlflow.source.name": repository})
    monkeypatch.setenv("MLFLOW_RUN_ID", given.info.run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(InputError), project_run.noted(config):
        raise InputError(told)
    ours, theirs = (study.client.get_run(one).data.tags for one in (run_id, given.info.run_id))
    assert ours["error"].startswith("Lost: ") and "..." in ours["error"] and "It ended early" in theirs[schema.NOTE]
    assert ours["mlflow.source.git.repoURL"] == theirs["mlflow.source.name"] == "https://host/name.git"
    assert [p.name for p in tmp_path.rglob("error.txt")] and not holders(tmp_path)


def test_nothing_that_is_reported_or_printed_holds_a_password(
    pretended: Callable[[str], Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(report, "figures", lambda _: ({}, {}))  # they know no address, and take seconds
    address = STORES["server"]
    study = pretended(address)
    for seed in (0, 1):
        log_cell(study.client, study.experiment_id, ("base", "nya", seed), ["nya", "aaa"])
    assert start("analyse", "--tracking_uri", address, "--study", "mine", "--output", "out") == 0
    print(mlflow_pages.of_study(study.client, study.experiment_id))
    planned = build(StudyConfig, {"data": "planted", "executor": "script", "tracking_uri": address})
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:1/base") as refused:
        write_study_scripts(planned, study)
    said = capsys.readouterr()
    assert not shown_in(said.out + said.err + str(refused.value))
    assert "http://127.0.0.1:1/base/#/experiments/" in said.out
    page = (tmp_path / "out" / "mine" / "index.html").read_text(encoding="utf-8")
    assert "http://127.0.0.1:1/base/#/experiments/" in page
    assert len(list(tmp_path.rglob("index.html"))) == 2 and not holders(tmp_path)  # it is logged, too


def test_the_command_of_a_cell_says_nothing_of_the_store(pretended: Callable[[str], Study]) -> None:
    config = build(StudyConfig, {"data": "planted", "tracking_uri": STORES["database"]})
    start = SimpleNamespace(name="base", location="base", revision="")
    cell = SimpleNamespace(source="nya", start=start, seed=0, few_shot=None)
    plan = SimpleNamespace(targets=["nya"], is_gone_on_from=lambda _: False)
    command = cell_command(config, plan, cell, pretended(STORES["database"]))  # type: ignore[arg-type]
    assert "--study" in command and not shown_in(" ".join(command)) and "postgresql" not in " ".join(command)
