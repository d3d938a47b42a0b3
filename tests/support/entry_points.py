"""Entry points in this process."""

from project_scripts import MAKE, ROOT, load_script

from nertransfer.commands import run

SCRIPTS = dict(MAKE.ENTRY_POINTS.values())
"""The configuration of every script of entrypoints/."""


def start(script: str, *words: str) -> int | str | None:
    """The status that an entry point ends with."""
    module = load_script(ROOT / "entrypoints" / f"{script}.py")
    try:
        run.run(SCRIPTS[script], module.main, module.__doc__, words, shared=script == "train")
    except SystemExit as end:
        return end.code
    return 0
