"""Plain text -> Markdown that reads the same, whatever the text is. Pure."""

import html
import re
import unicodedata
from collections.abc import Sequence


def plain(text: str) -> str:
    """One line: white space becomes single blanks; control and formatting characters go, lone surrogates are named."""
    spaced = (" " if character.isspace() else character for character in text)
    kept = (c for c in spaced if unicodedata.category(c) not in ("Cc", "Cf"))
    named = (name_of(c) if unicodedata.category(c) == "Cs" else c for c in kept)
    return " ".join("".join(named).split())


def name_of(character: str) -> str:
    """``[U+1234]``: a character that cannot be written."""
    return f"[U+{ord(character):04X}]"


def escape(text: str) -> str:
    """Plain text as Markdown that reads the same on GitHub and in MLflow, on one line; also inside a pipe table.

    MLflow's Showdown keeps a backslash before ``<``, ``>`` and ``&``, and with it the tag.
    """
    return re.sub(r"[\\`*_\[\]|~$]", r"\\\g<0>", html.escape(plain(text), quote=False))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """A pipe table of texts that are Markdown already; the last ``numbers`` columns are set flush right."""
    rule = ["---"] * (len(header) - numbers) + ["---:"] * numbers
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])
