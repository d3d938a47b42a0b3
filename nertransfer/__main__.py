"""The command ``nertransfer <entry point> ...``, also ``python -m nertransfer``: runs a script of entrypoints/."""

import ast
import runpy
import sys
from pathlib import Path

from nertransfer.core.commandline import version
from nertransfer.core.files import PROJECT
from nertransfer.core.text import did_you_mean


def scripts() -> dict[str, Path]:
    """The scripts by entry point."""
    return {path.stem: path for path in sorted((PROJECT / "entrypoints").glob("[!_]*.py"))}


def overview() -> str:
    """The entry points, with the first sentence of each."""
    lines = [f"nertransfer {version()}: nertransfer <entry point> [--<parameter> <value> ...]", ""]
    for name, path in scripts().items():
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        lines.append(f"  {name:<15} {text.splitlines()[0]}")
    return "\n".join([*lines, "", "nertransfer <entry point> --help lists its parameters."])


def main() -> None:
    """Run the entry point that the first argument names, as ``python entrypoints/<name>.py`` does."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h", "--version"):
        print(f"nertransfer {version()}" if name == "--version" else overview())
        return
    known = scripts()
    path = known.get(name.replace("-", "_"))
    if path is None:
        near = did_you_mean(name, known)
        print(f"error: there is no entry point {name!r}: one of {', '.join(known)}{near}", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = [str(path), *sys.argv[2:]]
    runpy.run_path(str(path), run_name="__main__")


if __name__ == "__main__":
    main()
