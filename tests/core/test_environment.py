"""Nothing of the environment that may change a result enters a cell."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import accelerate
import pytest
import torch
from accelerate_config import CONFIG_FILE
from folder_store import opened
from project_scripts import ROOT
from safetensors.torch import load_file
from tiny import save_tiny_corpora, save_tiny_start

from nertransfer.core import environment
from nertransfer.core.errors import InputError
from nertransfer.core.options import Recipe, RunOptions
from nertransfer.tracking.store import all_runs
from nertransfer.training import accelerator

SHARED = ("--data", "data", "--start", "tiny=tiny", "--device", "cpu", "--learning_rate", "5e-3", "--epochs", "2",
          "--batch_size", "8")  # fmt: skip
COMMANDS = (
    ("train", "--source", "aaa", "--max_length", "32", "--keep_weights", "true", *SHARED),
    ("adapt", "--language", "aaa", "--text", "text.txt", "--output", "adapted", *SHARED),
)
CALLS = f"""
import runpy, sys
for name, *arguments in {COMMANDS}:
    sys.argv = [name, *arguments]
    runpy.run_path(f"{ROOT}/entrypoints/{{name}}.py", run_name="__main__")
"""
LIBRARIES = {
    "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "MKL_CBWR": "COMPATIBLE", "MKL_DYNAMIC": "TRUE", "OMP_DYNAMIC": "true", "OMP_THREAD_LIMIT": "1",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1", "NVIDIA_TF32_OVERRIDE": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "TORCHDYNAMO_DISABLE": "1", "TORCHINDUCTOR_MAX_AUTOTUNE": "1", "PYTORCH_TUNABLEOP_ENABLED": "1",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "TRANSFORMERS_SDPA_FORCE_GQA": "1", "USE_HUB_KERNELS": "1",
    "WORLD_SIZE": "4", "PMI_SIZE": "4", "PET_MAX_RESTARTS": "3",
}  # fmt: skip


# --- what accelerate reads -----------------------------------------------------------------------------------------

NOT_IN_A_CELL = ("commands/", "test_utils/", "launchers.py", "tracking.py", "utils/launch.py")
"""Accelerate's command line, its tests, notebooks and trackers."""
READERS = {"parse_flag_from_env", "parse_choice_from_env", "get_int_from_env"}
HELPERS = {"utils/environment.py": {"e", "key"}}
"""Arguments of those readers, as they are named where they are defined."""
TAKEN = {
    "LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",  # what torchrun sets
    "NCCL_P2P_DISABLE", "NCCL_IB_DISABLE",  # how GPUs talk to each other
    "OMP_NUM_THREADS",  # recorded with every cell
    "systemdrive",  # where Windows lies
}  # fmt: skip
"""Read by accelerate and left alone."""


def variables_read(source: str, helpers: set[str] = frozenset()) -> set[str]:  # type: ignore[assignment]
    """Names of the variables that Python source reads; ``?<expression>`` where it cannot be told which."""
    tree = ast.parse(source)
    prefixes: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for target in node.targets:
                prefixes.setdefault(ast.unparse(target), set()).add(node.value.value)

    def names(node: ast.expr) -> Iterator[str]:
        if isinstance(node, ast.Constant):
            yield str(node.value)
        elif isinstance(node, ast.List | ast.Tuple):
            for part in node.elts:
                yield from names(part)
        elif isinstance(node, ast.BinOp) and ast.unparse(node.left) in prefixes:
            for right in names(node.right):
                yield from (left + right for left in prefixes[ast.unparse(node.left)])
        elif ast.unparse(node) not in helpers:
            yield f"?{ast.unparse(node)}"

    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("os.environ.get", "os.environ.pop", "os.getenv") or called.rpartition(".")[2] in READERS:
                found |= set(names(node.args[0]))
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            found |= set(names(node.slice)) if isinstance(node.ctx, ast.Load) else set()
        elif isinstance(node, ast.Compare) and ast.unparse(node.comparators[-1]) == "os.environ":
            found |= set(names(node.left))
    return found


def accelerates_variables() -> set[str]:
    root = Path(accelerate.__file__).parent
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    return {
        name
        for place, path in files.items()
        if not place.startswith(NOT_IN_A_CELL)
        for name in variables_read(path.read_text(encoding="utf-8"), HELPERS.get(place, set()))
    }


def test_every_variable_that_accelerate_reads_is_known() -> None:
    """One that is new in another version has to be thought about: removed, or left alone and named above."""
    read = accelerates_variables()
    assert {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "FSDP_VERSION", "MEGATRON_LM_TP_DEGREE", "PMI_SIZE"} <= read
    assert {name for name in read if not environment.is_foreign(name)} == TAKEN


def test_variables_are_found_however_they_are_read() -> None:
    source = """
prefix = "A_"
os.environ.get("B"), os.environ["C"], "D" in os.environ, parse_flag_from_env(prefix + "E"), get_int_from_env(["F", "G"])
os.environ["WRITTEN"] = "1"
os.getenv(somewhere)
"""
    assert variables_read(source) == {"B", "C", "D", "A_E", "F", "G", "?somewhere"}


@pytest.mark.parametrize("name", [*LIBRARIES, "TRITON_F32_DEFAULT", "CUDNN_CONV_WSCAP_DBG", "DNNL_MAX_CPU_ISA"])
def test_what_may_change_a_result_is_foreign(name: str) -> None:
    assert environment.is_foreign(name) or name in environment.LAUNCHER


@pytest.mark.parametrize(
    "name",
    [
        "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF",
        "PYTORCH_VERSION", "TORCH_HOME", "TORCH_LOGS", "TORCH_NCCL_ASYNC_ERROR_HANDLING", "TORCHELASTIC_RUN_ID",
        "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TRITON_PTXAS_PATH", "ONEDNN_VERBOSE", "CUDNN_VERSION",
        "NCCL_DEBUG", "HF_HOME", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TOKENIZERS_PARALLELISM", "MASTER_PORT",
        "MLFLOW_TRACKING_URI", "SLURM_JOB_ID",
    ],
)  # fmt: skip
def test_what_changes_no_result_is_left_alone(name: str) -> None:
    assert not environment.is_foreign(name)


# --- what becomes of it -------------------------------------------------------------------------------------------


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An environment of a test's own; what is removed from it comes back."""
    before = dict(os.environ)
    for name in (*LIBRARIES, *environment.LAUNCHER):
        os.environ.pop(name, None)
    yield monkeypatch
    monkeypatch.undo()
    os.environ.clear()
    os.environ.update(before)


def test_accelerators_variables_are_removed_and_named_once(
    variables: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "8", "WORLD_SIZE": "4"}
    for name, value in settings.items():
        variables.setenv(name, value)
    for _ in range(2):
        made = accelerator.make_accelerator(Recipe(), RunOptions(device="cpu"))
    assert (made.gradient_accumulation_steps, made.num_processes) == (1, 1)
    assert not settings.keys() & os.environ.keys()
    assert [record.getMessage() for record in caplog.records] == [
        "ignoring environment variables that could change results: ACCELERATE_GRADIENT_ACCUMULATION_STEPS, "
        "ACCELERATE_USE_DEEPSPEED, WORLD_SIZE"
    ]


def test_what_torch_may_have_read_is_refused(variables: pytest.MonkeyPatch) -> None:
    variables.setattr(environment, "_looked", False)
    variables.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    for _ in range(2):
        with pytest.raises(
            InputError, match=r"^ONEDNN_MAX_CPU_ISA in the environment .* unset it before Python starts$"
        ):
            accelerator.make_accelerator(Recipe(), RunOptions(device="cpu"))


def test_what_torch_sets_itself_is_left_to_it(variables: pytest.MonkeyPatch) -> None:
    """Its compiler sets some when it is loaded, before or after the first accelerator is made."""
    variables.setattr(environment, "_looked", False)
    for name in ("CUBLAS_WORKSPACE_CONFIG", "TORCH_WARM_POOL"):
        variables.setenv(name, ":4096:8")
        accelerator.make_accelerator(Recipe(), RunOptions(device="cpu"))
        assert name in os.environ


def test_only_the_main_process_says_what_is_ignored(
    variables: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    launched = {"LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "2"}
    for name, value in (launched | {"ACCELERATE_DYNAMO_BACKEND": "eager"}).items():
        variables.setenv(name, value)
    environment.clean()
    environment.tell()
    assert "ACCELERATE_DYNAMO_BACKEND" not in os.environ and launched.items() <= os.environ.items()
    assert not caplog.records


def test_accelerators_are_made_in_one_place() -> None:
    """Anywhere else, one would be made of what the environment says."""
    parts = ("nertransfer", "analysis", "entrypoints", "benchmarks")
    sources = [path for part in parts for path in (ROOT / part).rglob("*.py")]
    calls = [
        path.name
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("Accelerator", "PartialState")
    ]
    assert calls == ["accelerator.py"]


# --- a hostile environment ----------------------------------------------------------------------------------------


def make_folder(folder: Path) -> Path:
    """A folder with a start, corpora, a text and an empty store."""
    save_tiny_start(folder / "tiny")
    save_tiny_corpora(folder / "data")
    (folder / "text.txt").write_text("abc abd abe\nbca bcb abc abd\n" * 20, encoding="utf-8")
    opened(folder, "data")
    return folder


def results(folder: Path) -> tuple[dict[str, list[float]], dict[str, float], dict[str, list[float]]]:
    """Weights of the cell, all its scores, and weights of the adapted start."""

    def weights(path: Path) -> dict[str, list[float]]:
        return {name: tensor.flatten().tolist() for name, tensor in load_file(path).items()}

    study = opened(folder, "data")
    (run,) = [one for one in all_runs(study.client, study.experiment_id) if one.data.tags["kind"] == "cell"]
    scores = {name: value for name, value in run.data.metrics.items() if "f1" in name or "loss" in name}
    (tagger,) = folder.glob("work/cells/*/model/model.safetensors")
    return weights(tagger), scores, weights(folder / "adapted" / "model.safetensors")


def test_a_hostile_environment_changes_no_weight_and_no_score(tmp_path: Path, variables: pytest.MonkeyPatch) -> None:
    """The same commands in a process with every variable and a file of `accelerate config`, and in this one without."""
    plain, other = make_folder(tmp_path / "plain"), make_folder(tmp_path / "hostile")
    read = [name for name in accelerates_variables() if environment.is_foreign(name)]
    hostile = dict.fromkeys(read, "1") | LIBRARIES | {
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "8", "ACCELERATE_MIXED_PRECISION": "bf16",
        "ACCELERATE_DYNAMO_BACKEND": "AOT_EAGER", "ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_USE_FSDP": "true",
        "ACCELERATE_USE_MEGATRON_LM": "true", "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip
    (other / "home" / "accelerate").mkdir(parents=True)
    (other / "home" / "accelerate" / "default_config.yaml").write_text(CONFIG_FILE)
    own = {"HF_HOME": str(other / "home"), "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", CALLS], cwd=other, env=os.environ | own | hostile, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    variables.chdir(plain)
    variables.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        exec(CALLS, {})
    finally:
        torch.set_num_threads(threads)
        said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said[-3000:]
    assert results(other) == results(plain)
    (line,) = [line for line in said.splitlines() if line.startswith("ignoring environment variables")]
    assert all(name in line for name in hostile)
