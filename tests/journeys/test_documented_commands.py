"""Every command of README.md, docs/*.md and the scripts' docstrings runs as it stands and makes what it promises.

They are run by bash in one user's folder (`user_folder`), with a warm Python (`warm`). Only ports are replaced, by one
that is free. docs/tutorial.md has a folder, and a test, of its own.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import stub_hub
import user_folder
from documented import PAGES, Command, commands, fenced
from loopback import serving
from mlflow import MlflowClient
from mlflow.entities import Run
from project_scripts import ROOT
from warm import PROJECT, Warm

from nertransfer.core import schema
from nertransfer.core.config import (
    AdaptConfig,
    AnalyseConfig,
    ConvertConfig,
    DataConfig,
    EmbedConfig,
    EvaluateConfig,
    ExportConfig,
    ImportConfig,
    ModelsConfig,
    PredictConfig,
    PredictionsConfig,
    RankConfig,
    RegisterConfig,
    RelocateConfig,
    RollbackConfig,
    StudyConfig,
    TrainConfig,
)
from nertransfer.core.errors import InputError
from nertransfer.tracking.store import all_runs, client, study_name

sys.path.insert(0, str(ROOT / "benchmarks"))

from model_server import Server

NOT_RUN = {
    "make test": "it is what runs this test",
    "make study": "it makes an environment, as `make test` does, and then runs studies/planted.yaml, as is done here",
    "python3 -m venv .venv": "it makes an environment; the one of `make test` is the same",
    ".venv/bin/pip install -c constraints.txt -e .": "it fills that environment",
    **dict.fromkeys(
        [
            *(f"make study TORCH={build}" for build in ("cpu", "cu126")),
            *(
                f".venv/bin/pip install -c constraints.txt torch==2.13.0+{build} --extra-index-url "
                f"https://download.pytorch.org/whl/{build}"
                for build in ("cpu", "cu126", "cu130")
            ),
        ],
        "it changes the environment, by an index of PyTorch's own; test_install looks at what it asks for",
    ),
    "pip install -c constraints.txt -e '.[slurm]'": "it changes the environment; test_project compares the pins",
    "python entrypoints/study.py --study_file studies/masakhaner.yaml --executor slurm": "it wants a cluster's GPUs; "
    "test_slurm submits to a small one",
    "pip install pip-audit": "it changes the environment",
    "pip-audit -r constraints.txt --no-deps": "it asks the network what is known today",
    "python entrypoints/rank.py zul --study published --data masakhaner --save_prior prior.json "
    "--cite 'Beukman (2021)'": "the sample of the published study has too few targets; test_prior writes one",
    "docker build -t ner-hau container": "it needs Docker and PyPI",
    "docker run -p 127.0.0.1:8080:8080 ner-hau": "it needs Docker",
    "mlflow server --host 0.0.0.0 --port 5000 --backend-store-uri postgresql://user:password@localhost/mlflow "
    "--artifacts-destination /data/mlflow --allowed-hosts tracking.example.org:5000": "it needs PostgreSQL",
    "python entrypoints/export.py --model models:/ner-hau/3 --variant onnx-int8": "it takes ten seconds; test_export "
    "writes and runs such a graph, and export.py runs here without the variant",
    "python entrypoints/import_results.py --results reports/masakhaner/results.csv --study theirs": "it does what "
    "--study shared-scores does, under another name",
    **dict.fromkeys(
        [
            *(
                f"mlflow run . -e {name} --env-manager local -P study=planted"
                for name in ("analyse", "embed", "register")
            ),
            *(f"python entrypoints/{name}.py --study planted" for name in ("analyse", "register")),
        ],
        "it does with study planted what is done with study masakhaner",
    ),
    "mlflow run . -e analyse --env-manager local -P study=published": "it does what is done with style=published, and "
    "in the style of study masakhaner",
}
"""Command -> why no test runs it."""
FIRST = (
    r"^git clone", r"-e adapt|/adapt\.py",
    r"-e study.*data=masakhaner",  # before others: a champion goes to no other study
    r"-e study|/study\.py|^mlflow run \. --env", r"import_results", r"rollback.*version", r"rollback",
    r"embed.*study[ =]masakhaner",
)  # fmt: skip
"""What is run before everything else, for others need what it makes; the rest is in the order of the pages."""
UNTIL_STOPPED = re.compile(r"^mlflow models serve |^python entrypoints/serve\.py |^mlflow run \. -e serve ")
"""Commands that serve a model until they are stopped; meanwhile those of curl are run."""
BROWSED = re.compile(r"^python entrypoints/ui\.py |^mlflow run \. -e ui ")
"""Commands that serve MLflow's pages until they are stopped."""
PORT = re.compile(r"(?<=--port )\d+|(?<=port=)\d+|(?<=127\.0\.0\.1:)\d+")
PROGRAM = re.compile(r"\W*(?:curl|docker|git|make|mlflow|pip|python) ")
PATIENCE_SECONDS = 300


@dataclass
class User:
    """Who runs the commands. ``problems``: what went wrong, by what was done, or nothing; ``began``: when the last one
    was run, in seconds since 1970; ``said``: what it printed."""

    folder: Path
    warm: Warm
    hub: stub_hub.Hub
    port: int
    problems: dict[object, str] = field(default_factory=dict)
    began: float = 0.0
    said: str = ""

    @property
    def store(self) -> MlflowClient:
        return client(f"sqlite:///{self.folder}/mlflow.db", must_exist=True)

    def begin(self, command: Command, log: Path) -> "subprocess.Popen[bytes]":
        """Have bash run it, in a process group of its own."""
        environment = user_folder.environment(self.folder) | {"PATH": self.warm.path}
        if "--push_to" in command.words:
            environment |= {"HF_ENDPOINT": self.hub.address, "HF_HUB_OFFLINE": "0"}
        script = "\n".join([*command.exports, PORT.sub(str(self.port), command.line)])
        with log.open("wb") as file:
            return subprocess.Popen(
                ["bash", "-e", "-c", script], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=file,
                stderr=file, process_group=0,
            )  # fmt: skip

    def run(self, command: Command) -> None:
        """Raises AssertionError unless it succeeds."""
        log = self.folder / "said.log"
        self.began = time.time()
        process = self.begin(command, log)
        try:
            process.wait(PATIENCE_SECONDS)
        finally:
            end(process, signal.SIGKILL)
        self.said = log.read_text(encoding="utf-8")
        assert process.returncode == 0, f"status {process.returncode}: {self.said[-3000:]}"

    def fresh(self, *parts: str) -> Path:
        """A file that the last command has written."""
        path = self.folder.joinpath(*parts)
        assert path.is_file(), f"no {path.relative_to(self.folder)}; it said {self.said[-2000:]}"
        assert path.stat().st_mtime >= self.began - 0.01, f"{path.relative_to(self.folder)} is an old file"
        return path

    def runs(self, study: str, kind: str) -> list[Run]:
        """Finished runs of a kind in a study."""
        store = self.store
        experiment = store.get_experiment_by_name(study).experiment_id
        return all_runs(store, experiment, f"tags.kind = '{kind}' AND attributes.status = 'FINISHED'")

    def champion(self, language: str) -> int:
        return int(self.store.get_model_version_by_alias(schema.model_name(language), schema.CHAMPION).version)


def end(process: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    """Tell the whole group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    process.wait(PATIENCE_SECONDS)


def study_of(config: Any) -> str:
    """The study a command is about; one that names neither study nor data is about a model of this one."""
    return study_name(config.data, config.tracking, without="masakhaner")


# --- what a command promises -------------------------------------------------------------------------------


def data(user: User, config: DataConfig) -> None:
    table = pd.read_csv(user.fresh(config.output, config.data.name, "data.csv"))
    assert set(config.data.languages) <= set(table["language"]) and len(table) >= 6


def study(user: User, config: StudyConfig) -> None:
    if config.plan:
        cells = re.search(r"^cells +(\d+): \d+ done", user.said, re.MULTILINE)
        assert cells and int(cells[1]) == (190 if config.study_file else 24), user.said
        return
    assert " 0 failed" in user.said
    report = Path(config.output, study_of(config))
    user.fresh(str(report / "index.html"))
    assert len(pd.read_csv(user.fresh(str(report / "missing.csv")))) == 0
    results = pd.read_csv(user.fresh(str(report / "results.csv")))
    assert set(config.sources or config.data.languages) <= set(results["source"])
    assert set(config.few_shot_sentences) <= set(results["few_shot_sentences"].dropna())
    if config.seeds != StudyConfig().seeds:  # else they are those of the smaller checkout
        assert set(config.seeds) <= set(results["seed"])


def train(user: User, config: TrainConfig) -> None:
    wanted = {schema.SOURCE: config.source, schema.SEED: str(config.seed), schema.START: config.start}
    if config.few_shot_language:
        wanted[schema.FEW_SHOT_SENTENCES] = str(config.few_shot_sentences)
    runs = user.runs(study_of(config), schema.KIND_CELL)
    done = [run for run in runs if wanted.items() <= run.data.tags.items()]
    assert done and all(schema.START_REVISION in run.data.tags for run in done)


def evaluate(user: User, config: EvaluateConfig) -> None:
    run = max(user.runs(study_of(config), schema.KIND_EVALUATION), key=lambda r: r.info.end_time)
    assert run.info.start_time >= 1000 * user.began
    assert all(f"test_f1/{target}" in run.data.metrics for target in config.targets or ("hau", "swa"))


def embed(user: User, config: EmbedConfig) -> None:
    assert user.runs(study_of(config), schema.KIND_EMBEDDING)


def adapt(user: User, config: AdaptConfig) -> None:
    folder = config.output or str(Path(config.data.work_dir, "starts", config.language))
    user.fresh(folder, "config.json")
    user.fresh(folder, "model.safetensors")


def register(user: User, config: RegisterConfig) -> None:
    cells = user.runs(study_of(config), schema.KIND_CELL)
    sources = {run.data.tags[schema.SOURCE] for run in cells if schema.FEW_SHOT_MODE not in run.data.tags}
    for source in config.sources or config.data.languages or sources:
        model = user.store.get_registered_model(schema.model_name(source))
        assert schema.CHAMPION in model.aliases
        assert not config.replace or schema.CHAMPION_PINNED not in model.tags


def models(user: User, config: ModelsConfig) -> None:
    assert re.search(r"^ner-hau +1 .* base +hau ", user.said, re.MULTILINE)


def rollback(user: User, config: RollbackConfig) -> None:
    moved = re.search(r"champion moved from version (\d+) to version (\d+)", user.said)
    assert moved, user.said
    assert user.champion(config.language) == int(moved[2]) and config.version in (0, int(moved[2]))
    assert schema.CHAMPION_PINNED in user.store.get_registered_model(schema.model_name(config.language)).tags


def export(user: User, config: ExportConfig) -> None:
    which = config.which
    alias = schema.start_alias(which.start) if which.start else schema.CHAMPION
    name = f"{schema.model_name(which.language)}-{alias}" if which.language else "ner-hau-3"
    for file in ("README.md", "config.json", "model.safetensors"):
        user.fresh(config.output, name, file)
    if config.variant == "onnx-int8":
        user.fresh(config.output, name, "onnx", "model_quantized.onnx")
    if config.push_to:
        there = {path.name for path in (user.folder / config.output / name).iterdir()}
        assert set(user.hub.uploaded[config.push_to]) == there and user.hub.tokens == {"..."}


def predict(user: User, config: PredictConfig) -> None:
    form = config.format or "jsonl"
    if " " in config.input:  # a sentence, which is printed
        assert re.sub(r"\[[A-Z]+ (.*?)\]", r"\1", user.said).startswith(config.input), user.said
        return
    path = user.fresh(config.output or f"{Path(config.input).stem}.entities.{form}")
    text = path.read_text(encoding="utf-8")
    first = (user.folder / config.input).read_text(encoding="utf-8").split()[0]
    patterns = {
        "html": rf"\b{first}\b(?s:.*)</html>",
        "jsonl": rf'"text": "{first} .*"entities"',
        "conll": rf"^{first} [BIO]",
    }
    assert re.search(patterns[form], text), text


def import_results(user: User, config: ImportConfig) -> None:
    cells = 12
    if config.results.endswith(".csv"):
        scores = pd.read_csv(user.folder / config.results)
        scores = scores[scores["few_shot_language"].isna()]  # such cells are not imported
        cells = len(scores[["start", "source", "seed"]].drop_duplicates())
    assert len(user.runs(config.tracking.study, schema.KIND_CELL)) == cells


def import_predictions(user: User, config: PredictionsConfig) -> None:
    runs = user.runs(config.tracking.study, schema.KIND_CELL)
    assert config.system in {run.data.tags[schema.SYSTEM] for run in runs}


def analyse(user: User, config: AnalyseConfig) -> None:
    user.fresh(config.output, config.tracking.study, "index.html")
    tables = user.folder / config.output / config.tracking.study / "tables"
    assert (tables / "pretraining_compressed.csv").exists() == (config.style == "published")
    if config.tracking.study == "masakhaner":  # embed has run
        user.fresh(config.output, config.tracking.study, "embeddings", "models.csv")


def convert(user: User, config: ConvertConfig) -> None:
    text = user.fresh(config.output, "hau", "train.txt").read_text(encoding="utf-8")
    assert "B-PER" in text and "person" not in text


def relocate(user: User, config: RelocateConfig) -> None:
    assert "nothing to do" in user.said  # tests/test_store_files.py moves stores


def rank(user: User, config: RankConfig) -> None:
    study = f"prior-{config.prior}" if config.prior else study_of(config)
    folder = user.folder / config.output / study / "recommended"
    beside = (".judged.csv", ".adapting.csv", ".unused.csv")
    tables = [path for path in folder.glob(f"{config.target}*.csv") if not path.name.endswith(beside)]
    path = user.fresh(str(max(tables, key=lambda path: path.stat().st_mtime)))
    if config.sources:
        assert set(pd.read_csv(path)["source"]) == set(config.sources)
        return
    assert set(pd.read_csv(path)["source"]) >= ({"hau", "new"} if study == "mydata" else {"hau", "swa"})


ENTRY_POINTS: dict[str, Callable[[User, Any], None]] = {
    one.__name__: one
    for one in (
        adapt, analyse, convert, data, embed, evaluate, export, import_predictions, import_results,
        models, predict, rank, register, relocate,
        rollback, study, train,
    )
}  # fmt: skip
OTHERS: dict[str, Callable[[User], object]] = {
    "git clone ": lambda user: user.fresh("NERTransfer", ".git", "HEAD"),
    "mlflow models generate-dockerfile ": lambda user: user.fresh("container", "Dockerfile"),
    "export ": lambda user: None,  # holds for the commands after it
}


# --- all of them -------------------------------------------------------------------------------------------


def documented() -> list[Command]:
    """Every command that is run, once, in the order of the pages."""
    found: dict[str, Command] = {}
    for command in commands():
        found.setdefault(command.name, command)
    return [command for command in found.values() if command.name not in NOT_RUN]


def turn(command: Command) -> int:
    return next((i for i, pattern in enumerate(FIRST) if re.search(pattern, command.name)), len(FIRST))


def do(user: User, command: Command) -> None:
    """Run a command and look at what it has made."""
    entry = command.entry
    promise = next((promise for begin, promise in OTHERS.items() if command.name.startswith(begin)), None)
    assert entry or promise, "say in OTHERS what it makes, or in NOT_RUN why it cannot be run"
    user.run(command)
    if entry:
        ENTRY_POINTS[entry[0]](user, entry[1])
    elif promise:
        promise(user)


def serve(user: User, command: Command, questions: Sequence[Command], health: str = "/ping") -> None:
    """Start a command that serves, ask it the questions, and stop it politely. ``health``: what it answers first."""
    log = user.folder / "server.log"
    process = user.begin(command, log)
    server = Server(user.port, process, log)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not server.is_up(health):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        for question in questions:
            user.run(question)
            assert re.search(r'{"predictions": ?\[', user.said), user.said
            user.problems[question.does] = ""
    finally:
        end(process, signal.SIGTERM)
    while server.is_up(health):
        assert time.monotonic() < deadline, "it goes on after SIGTERM"
        time.sleep(0.05)
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[object, str]:
    """What went wrong, by what a command does; all have been run, those that do the same once."""
    folder = tmp_path_factory.mktemp("user")
    port = user_folder.make(folder)
    questions = [command for command in documented() if command.words[0] == "curl"]
    with serving(stub_hub.Hub()) as hub, Warm(PROJECT, user_folder.environment(folder), ("mlflow", "uvicorn")) as warm:
        user = User(folder, warm, hub, port)
        for command in sorted(documented(), key=turn):
            try:
                if command in questions or command.does in user.problems:
                    continue
                if UNTIL_STOPPED.match(command.name):
                    serve(user, command, questions)
                elif BROWSED.match(command.name):
                    serve(user, command, [], "/health")
                else:
                    do(user, command)
                user.problems[command.does] = ""
            except InputError:
                continue  # an entry point does not take it so: its own test says why
            except Exception as error:
                user.problems[command.does] = f"{type(error).__name__}: {error}"
    return user.problems


@pytest.mark.parametrize("command", documented(), ids=lambda command: command.name)
def test_a_documented_command_does_what_it_promises(command: Command, problems: dict[object, str]) -> None:
    assert not problems[command.does]


def test_what_is_not_run_is_documented_and_taken_by_its_entry_point() -> None:
    found = {command.name: command for command in commands()}
    assert set(NOT_RUN) <= set(found)
    for name in NOT_RUN:
        _ = found[name].entry  # raises InputError where an entry point does not take it


def test_commands_stand_in_blocks_of_bash() -> None:
    """Elsewhere they would be run by no test."""
    for page in PAGES:
        found = fenced(page.read_text(encoding="utf-8"))
        assert {language for language, _ in found} <= {"bash", "mermaid", "python", "yaml", ""}, page.name
        lines = [line for language, code in found if language != "bash" for line in code.splitlines()]
        assert not [line for line in lines if PROGRAM.match(line)], page.name
