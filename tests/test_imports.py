"""Which module may import which: read from the source with `ast`, nothing is imported.

The checks are functions of an import graph, so the last tests show on a made-up package that
each of them can fail.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("nertransfer", "analysis", "entrypoints")

Graph = dict[str, frozenset[str]]
"""Module -> every name it imports, absolute; ``from a import b`` gives both ``a`` and ``a.b``."""

LEAVES = frozenset({"errors", "grid", "labels", "languages", "schema", "words"})
"""Modules of nertransfer that import nothing of ours but one another; so does config."""
BARE_CORE = ("encoding", "finetune", "evaluation", "embedding")
"""Run on a machine without a tracking server: neither they nor what they import know MLflow or pandas."""
MODEL_LIBRARIES = ("torch", "transformers", "accelerate")
"""Unknown to analysis; its pure modules do not reach them through nertransfer either."""

BESIDE = ("plots", "error_pages")
"""What a report calls in other processes: each imports it anew, and MLflow takes longest."""

# Who may import what: a library, and the only modules inside the package that may import it.
ALLOWED = {
    "nertransfer": {
        "mlflow": {
            "tracking",
            "claims",
            "registry",
            "aliases",
            "artifacts",
            "cell_weights",
            "model_addresses",
            "packaging",
            "served",
            "store",
            "current",
            "fluent",
            "mlflow_pages",
            "mlflow_server",
            "project_run",
        },
        "seqeval": {"scoring"},
        "matplotlib": set(),
        "analysis": set(),
        "entrypoints": set(),
    },
    "analysis": {
        "mlflow": {"results", "report"},
        "seqeval": set(),
        "matplotlib": {"plots"},
        **{library: set() for library in MODEL_LIBRARIES},
        "entrypoints": set(),
    },
}


def imported_names(source: str, module: str, is_package: bool = False) -> frozenset[str]:
    """Absolute names that ``source`` imports, at any depth, relative and literal dynamic imports included."""
    found: set[str] = set()
    parents = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__", "importorskip"):
                found.add(str(node.args[0].value))
    return frozenset(found)


def import_graph(root: Path, packages: Iterable[str] = OURS) -> Graph:
    graph: Graph = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            graph[module] = imported_names(path.read_text(encoding="utf-8"), module, is_package)
    return graph


def uses(names: Iterable[str], library: str) -> bool:
    return any(name == library or name.startswith(library + ".") for name in names)


def chain(graph: Graph, module: str, library: str) -> list[str]:
    """The shortest way from ``module`` to a module that imports ``library``; empty when there is none."""
    ways, seen = [[module]], {module}
    while ways:
        way = ways.pop(0)
        names = graph.get(way[-1], frozenset())
        if uses(names, library):
            return [*way, library]
        # importing a.b also runs a/__init__.py
        reached = {part for name in names for part in (name, name.rpartition(".")[0])} & set(graph)
        ways += [[*way, name] for name in sorted(reached - seen)]
        seen |= reached
    return []


def wrong_arrows(graph: Graph) -> list[str]:
    """Every import against the rules, as "module imports what"."""
    wrong: list[str] = []
    for module, names in graph.items():
        package, _, inner = module.partition(".")
        for library, importers in ALLOWED.get(package, {}).items():
            if inner not in importers and uses(names, library):
                wrong.append(f"{module} imports {library}")
        if package == "nertransfer" and inner in LEAVES | {"config"}:
            ours = {name for name in names if name in graph and name != "nertransfer"}
            allowed = {f"nertransfer.{leaf}" for leaf in LEAVES}
            wrong += [f"{module} imports {name}" for name in sorted(ours - allowed)]
    core = [(f"nertransfer.{inner}", ("mlflow", "pandas")) for inner in BARE_CORE]
    core += [(f"analysis.{inner}", ("mlflow",)) for inner in BESIDE if f"analysis.{inner}" in graph]
    pure = [m for m in graph if m.startswith("analysis.") and m.partition(".")[2] not in ALLOWED["analysis"]["mlflow"]]
    for module, libraries in core + [(module, MODEL_LIBRARIES) for module in pure]:
        for library in libraries:
            if way := chain(graph, module, library):
                wrong.append(" imports ".join(way))
    return list(dict.fromkeys(wrong))


def unsafe_loading(source: str) -> Iterator[str]:
    """What runs somebody else's code while loading: pickles, torch.load, trust_remote_code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
            if node.attr == "load" and isinstance(node.value, ast.Name) and node.value.id == "torch":
                yield f"line {node.lineno}: torch.load"
        elif isinstance(node, ast.Name):
            names = [node.id]
        elif isinstance(node, ast.keyword) and node.arg:
            off = isinstance(node.value, ast.Constant) and node.value.value is False
            names = [] if off else [node.arg]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            names = [
                str(key.value)
                for key, value in pairs
                if isinstance(key, ast.Constant) and not (isinstance(value, ast.Constant) and value.value is False)
                if str(key.value) in ("trust_remote_code", "allow_pickle")
            ]
        else:
            continue
        for name in names:
            if "pickle" in name.lower() or name in ("dill", "joblib", "trust_remote_code"):
                yield f"line {getattr(node, 'lineno', '?')}: {name}"
            elif isinstance(node, ast.ImportFrom) and node.module == "torch" and name == "load":
                yield f"line {node.lineno}: torch.load"


# --- this project ------------------------------------------------------------------------------


def test_no_import_points_the_wrong_way() -> None:
    graph = import_graph(ROOT)
    assert {"nertransfer.config", "nertransfer.finetune"} <= set(graph)  # the walk found the packages
    assert wrong_arrows(graph) == []


def test_nothing_imports_a_script() -> None:
    graph = import_graph(ROOT, (*OURS, "benchmarks", "docs"))
    assert [module for module, names in graph.items() if uses(names, "entrypoints")] == []


@pytest.mark.parametrize("package", OURS)
def test_nothing_loads_others_code(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    found = [f"{p.relative_to(ROOT)}: {u}" for p in files for u in unsafe_loading(p.read_text(encoding="utf-8"))]
    assert found == []


# --- the checks can fail -------------------------------------------------------------------------


def write(root: Path, modules: dict[str, str]) -> Graph:
    """Packages made of ``modules``, {"a/b": source of a/b.py}, as a graph."""
    for name, source in modules.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return import_graph(root)


def test_a_clean_package_has_no_wrong_arrow(tmp_path: Path) -> None:
    graph = write(
        tmp_path,
        {
            "nertransfer/config": "from nertransfer.errors import InputError\nfrom nertransfer import schema",
            "nertransfer/errors": "",
            "nertransfer/schema": "from nertransfer.labels import ALL",
            "nertransfer/labels": "import re",
            "nertransfer/encoding": "import torch\nfrom nertransfer.config import Recipe",
            "nertransfer/tracking": "from mlflow import MlflowClient",
            "nertransfer/scoring": "import seqeval.metrics",
            "analysis/plots": "import matplotlib.pyplot",
            "analysis/results": "import mlflow",
        },
    )
    assert wrong_arrows(graph) == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("nertransfer/study", "import mlflow", "nertransfer.study imports mlflow"),
        ("nertransfer/study", "def f():\n    from mlflow.entities import Run", "nertransfer.study imports mlflow"),
        ("nertransfer/study", "m = __import__('mlflow')", "nertransfer.study imports mlflow"),
        ("nertransfer/cell", "from seqeval import metrics", "nertransfer.cell imports seqeval"),
        ("nertransfer/cell", "from analysis.tables import x", "nertransfer.cell imports analysis"),
        ("nertransfer/cell", "from entrypoints import study", "nertransfer.cell imports entrypoints"),
        ("nertransfer/labels", "from . import corpus", "nertransfer.labels imports nertransfer.corpus"),
        ("nertransfer/config", "import nertransfer.corpus", "nertransfer.config imports nertransfer.corpus"),
        ("nertransfer/encoding", "import pandas as pd", "nertransfer.encoding imports pandas"),
        ("nertransfer/corpus", "import mlflow", "nertransfer.corpus imports mlflow"),
        ("analysis/overlap", "import torch.nn", "analysis.overlap imports torch"),
        ("analysis/overlap", "import transformers", "analysis.overlap imports transformers"),
        ("analysis/tables", "from matplotlib import pyplot", "analysis.tables imports matplotlib"),
        ("analysis/tables", "import mlflow", "analysis.tables imports mlflow"),
        ("analysis/tables", "import entrypoints.study", "analysis.tables imports entrypoints"),
    ],
)
def test_a_wrong_arrow_is_found(tmp_path: Path, module: str, source: str, expected: str) -> None:
    graph = write(tmp_path, {"nertransfer/corpus": "", module: source})
    assert expected in wrong_arrows(graph)


def test_a_wrong_arrow_is_found_through_other_modules(tmp_path: Path) -> None:
    graph = write(
        tmp_path,
        {
            "nertransfer/finetune": "from nertransfer import cell",
            "nertransfer/cell": "from .tracking import log",
            "nertransfer/tracking": "import mlflow",
        },
    )
    expected = "nertransfer.finetune imports nertransfer.cell imports nertransfer.tracking imports mlflow"
    assert wrong_arrows(graph) == [expected]


def test_what_runs_beside_a_report_does_not_reach_mlflow(tmp_path: Path) -> None:
    graph = write(tmp_path, {"analysis/plots": "from analysis import results", "analysis/results": "import mlflow"})
    assert wrong_arrows(graph) == ["analysis.plots imports analysis.results imports mlflow"]


def test_pure_analysis_does_not_reach_torch(tmp_path: Path) -> None:
    modules = {"nertransfer/starts": "import torch", "analysis/overlap": "from nertransfer import starts"}
    assert wrong_arrows(write(tmp_path, modules)) == ["analysis.overlap imports nertransfer.starts imports torch"]


def test_a_package_is_imported_with_its_modules(tmp_path: Path) -> None:
    graph = write(
        tmp_path,
        {
            "nertransfer/__init__": "import pandas",
            "nertransfer/evaluation": "from nertransfer.labels import ALL",
            "nertransfer/labels": "",
        },
    )
    assert wrong_arrows(graph) == ["nertransfer.evaluation imports nertransfer imports pandas"]


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import cloudpickle as c",
        "torch.load('x')",
        "from torch import load",
        "frame.to_pickle('x')",
        "np.load('x', allow_pickle=True)",
        "Model.from_pretrained(x, trust_remote_code=True)",
        "Model.from_pretrained(x, trust_remote_code=flag)",
        "options = {'trust_remote_code': True}",
    ],
)
def test_unsafe_loading_is_found(source: str) -> None:
    assert list(unsafe_loading(source))


def test_safe_loading_is_not_complained_about() -> None:
    source = "'''no pickle'''\nnp.load('x', allow_pickle=False)\nf(trust_remote_code=False)\njson.load(file)"
    assert list(unsafe_loading(source)) == []
