"""Nothing loads other people's code: read from the source with `ast`, nothing is imported.

Which package may import which is declared in pyproject.toml, under ``tool.importlinter``, and checked by `make lint`.
"""

import ast
from collections.abc import Iterator

import pytest
from project_scripts import ROOT

OURS = ("nertransfer", "analysis", "entrypoints")


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


@pytest.mark.parametrize("package", OURS)
def test_nothing_loads_others_code(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    found = [f"{p.relative_to(ROOT)}: {u}" for p in files for u in unsafe_loading(p.read_text(encoding="utf-8"))]
    assert found == []


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
