"""The project's scripts as modules, and which entry points there are."""

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = {
    "data": "planted",
    "input": "text.txt",
    "results": "published",
    "predictions": "gliner",
    "system": "gliner",
    "source": "swa",
    "model": "models:/ner-swa@champion",
    "language": "swa",
    "target": "swa",
}
"""A value for every parameter that has no default."""


def load_script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = load_script(ROOT / "docs" / "make_reference.py")
