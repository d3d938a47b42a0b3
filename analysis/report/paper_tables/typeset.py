"""Tables -> text for papers: LaTeX with booktabs, Markdown, and the layout of the published tables.

Pure: nothing is written.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from analysis.statistics.tables import MINUS, MISSING, number, spread
from nertransfer.core.markdown import escape as markdown_escape
from nertransfer.core.markdown import name_of as _name
from nertransfer.core.markdown import plain as _plain


@dataclass(frozen=True)
class Entry:
    """One place of a table: plain text, not escaped, and how it stands out.

    ``note`` follows the text in small print, without the bold.
    """

    text: str
    bold: bool = False
    star: bool = False
    note: str = ""


def score_entry(
    mean: float, sd: float = math.nan, decimals: int = 1, *, bold: bool = False, star: bool = False
) -> Entry:
    """A number and its sd, where there is one; a missing number is ``n/a`` and never stands out."""
    if math.isnan(mean):
        return Entry(MISSING)
    return Entry(number(mean, decimals), bold, star, spread(sd, decimals))


@dataclass(frozen=True)
class Table:
    """A table of plain text: rows of ``head_names`` heads and ``columns`` entries.

    ``rules`` are the rows, from 0, below which a line stands.

    Raises ValueError when a row does not fit, or a rule stands after no row or after the last (which has one).
    """

    columns: list[str]
    rows: list[tuple[list[str], list[Entry]]]
    head_names: list[str]
    caption: str = ""
    label: str = ""
    notes: list[str] = field(default_factory=list)
    rules: frozenset[int] | set[int] = frozenset()

    def __post_init__(self) -> None:
        if not self.columns and not self.head_names:
            raise ValueError("a table without columns")
        for place, (heads, entries) in enumerate(self.rows):
            if len(heads) != len(self.head_names):
                raise ValueError(f"row {place} has {len(heads)} heads; the table has {len(self.head_names)}")
            if len(entries) != len(self.columns):
                raise ValueError(f"row {place} has {len(entries)} entries; the table has {len(self.columns)} columns")
        if wrong := [rule for rule in sorted(self.rules) if not 0 <= rule < len(self.rows) - 1]:
            raise ValueError(f"a rule after row {wrong[0]} of {len(self.rows)}")


# --- LaTeX ---------------------------------------------------------------------------------------------

# Non-ASCII characters that pdfLaTeX sets from UTF-8 without a further package; each was compiled with
# LaTeX 2022-11-01. Those of _T1 need the font encoding T1.
_KEPT = re.compile("[À-ÖØ-öø-ĥĨ-ķĹ-ľŁ-ňŊ-ťŨ-žȘ-ț¡¿§¶£€©®™‐-―‘’“”†‡•…«»‹›‚„]")
_T1 = re.compile(r"[ÐÞðþĄąĐđĘęĮįŊŋŲų«»‹›‚„]|\\k\{")


def _greek(letter: str) -> str:
    name = unicodedata.name(letter).split()[-1].lower().replace("lamda", "lambda")
    return f"\\{name.capitalize() if letter.isupper() else name}"


_MATHS = {
    **{letter: _greek(letter) for letter in "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"},
    MINUS: "-", "±": r"\pm", "∓": r"\mp", "×": r"\times", "÷": r"\div", "·": r"\cdot", "°": r"^{\circ}",
    "¹": "^{1}", "²": "^{2}", "³": "^{3}", "µ": r"\mu", "¬": r"\neg",
    "≤": r"\leq", "≥": r"\geq", "≠": r"\neq", "≈": r"\approx", "∞": r"\infty", "√": r"\surd", "∈": r"\in",
    "∆": r"\Delta",
    "←": r"\leftarrow", "→": r"\rightarrow", "↔": r"\leftrightarrow", "↑": r"\uparrow", "↓": r"\downarrow",
}  # fmt: skip
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\symbol{34}", "`": r"\`{}",
    # after the end of a row TeX would read these as arguments
    "[": "{[}", "]": "{]}", "*": "{*}",
    **{character: f"${command}$" for character, command in _MATHS.items()},
}  # fmt: skip
_ABOVE = dict(zip("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c", "`'^~=u.\"rHv", strict=True))
_BELOW = dict(zip("\u0323\u0327\u0328\u0331", "dckb", strict=True))
_CLUSTER = re.compile("[\\s\\S][\u0300-\u036f]*")
_LIGATURE = re.compile(r"([-',])(?=\1)")


def latex_escape(text: str) -> str:
    """Plain text as LaTeX that reads the same, on one line.

    White space becomes single blanks; control and formatting characters are dropped. Letters stay
    as they are where pdfLaTeX reads them (`_KEPT`), other accented Latin letters are put together
    with accent commands, mathematical signs go into ``$...$``, and a character that pdfLaTeX cannot
    set is named: ``[U+1234]``. No ligature is formed of hyphens, commas or apostrophes.
    """
    composed = unicodedata.normalize("NFC", _plain(text))
    return _LIGATURE.sub(r"\1{}", "".join(map(_latex_cluster, _CLUSTER.findall(composed))))


def _latex_cluster(cluster: str) -> str:
    """A character and the marks on it."""
    letter, *marks = list(unicodedata.normalize("NFD", cluster))
    accented = marks and letter.isascii() and letter.isalpha() and all(m in _ABOVE or m in _BELOW for m in marks)
    if not accented:
        return "".join(map(_latex_character, cluster))
    # marks above first: an accent can stand over a letter only, a dot below under anything
    for mark in sorted(marks, key=lambda mark: mark in _BELOW):
        whole = unicodedata.normalize("NFC", letter + mark)
        command = _ABOVE.get(mark) or _BELOW[mark]
        letter = whole if _KEPT.fullmatch(whole) else f"\\{command}{{{letter}}}"
    return letter


def _latex_character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii() or _KEPT.fullmatch(character):
        return character
    return "".join(_SPECIAL.get(c, c) for c in _name(character))


def _latex_label(label: str) -> str:
    """A key that every LaTeX takes: blanks become hyphens, what is not a letter, a digit or of ``:._/-`` its code."""
    return re.sub(r"[^A-Za-z0-9:._/-]", lambda m: f"u{ord(m[0]):X}", _plain(label).replace(" ", "-"))


def _latex_entry(entry: Entry) -> str:
    text = latex_escape(entry.text)
    text = (rf"\textbf{{{text}}}" if entry.bold else text) + (r"$^{*}$" if entry.star else "")
    if note := latex_escape(entry.note):
        text = f"{text} {{\\scriptsize {note}}}"
    return text


def latex(table: Table) -> str:
    r"""The table as a LaTeX ``table`` with booktabs rules: caption above, notes below in small print.

    The first line is a comment with the ``\usepackage`` lines that it needs. The numbers shrink to
    ``\linewidth`` where they are wider, in whatever column of a page they stand.
    """
    heads = len(table.head_names)
    shrink = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    tabular = [shrink, rf"\begin{{tabular}}{{{'l' * heads}{'r' * len(table.columns)}}}", r"\toprule"]
    tabular += [_latex_row([latex_escape(name) for name in [*table.head_names, *table.columns]]), r"\midrule"]
    for place, (names, entries) in enumerate(table.rows):
        tabular.append(_latex_row([*map(latex_escape, names), *map(_latex_entry, entries)]))
        tabular += [r"\midrule"] if place in table.rules else []
    tabular += [r"\bottomrule", r"\end{tabular}%", "}"]
    lines = [r"\begin{table}[t]", r"\centering"]
    lines += [rf"\caption{{{caption}}}"] if (caption := latex_escape(table.caption)) else []
    lines += [rf"\label{{{label}}}"] if (label := _latex_label(table.label)) else []
    lines += tabular
    if table.notes:
        small = r"\begin{minipage}{\linewidth}\footnotesize\raggedright"
        notes = [rf"{latex_escape(note)}\par" for note in table.notes]
        lines += [r"\par\smallskip", small, *notes, r"\end{minipage}"]
    lines.append(r"\end{table}")
    packages = "".join(_packages("\n".join(lines)))
    return "\n".join([f"% Preamble: {packages}", *lines]) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _packages(text: str) -> list[str]:
    r"""The ``\usepackage`` lines that LaTeX text needs."""
    needs = {
        r"\usepackage[T1]{fontenc}": _T1,
        r"\usepackage{amsmath}": re.compile(r"\\text\{"),
        r"\usepackage{booktabs}": re.compile(r"\\(top|mid|bottom)rule"),
        r"\usepackage{graphicx}": re.compile(r"\\resizebox"),
    }
    return [line for line, pattern in needs.items() if pattern.search(text)]


# --- Markdown ------------------------------------------------------------------------------------------


def _markdown_paragraph(text: str) -> str:
    """A paragraph that does not turn into a heading, a list or a line."""
    return re.sub(r"^(\d*)([-+=#.)])", r"\1\\\2", markdown_escape(text))


def _markdown_entry(entry: Entry) -> str:
    text, note = markdown_escape(entry.text), markdown_escape(entry.note)
    text = (f"**{text}**" if entry.bold and text else text) + (r"\*" if entry.star else "")
    return f"{text} {note}".strip()


def markdown(table: Table) -> str:
    """The table as a GitHub pipe table: caption above, notes below.

    Markdown has no rules within a table: they are left out.
    """
    rows = [
        list(map(markdown_escape, [*table.head_names, *table.columns])),
        [":---"] * len(table.head_names) + ["---:"] * len(table.columns),
        *([*map(markdown_escape, heads), *map(_markdown_entry, entries)] for heads, entries in table.rows),
    ]
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    paragraphs = [_markdown_paragraph(table.caption), body, *map(_markdown_paragraph, table.notes)]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


# --- the published tables ------------------------------------------------------------------------------


def published_tabular(
    columns: Sequence[str], rows: Sequence[tuple[Sequence[str], Sequence[str]]], head_names: Sequence[str] = ()
) -> str:
    """A bare ``tabular`` in the layout of the published study's tables; all texts are LaTeX and taken as they are.

    One head a row: it is padded to the left, and the corner is ``{}``. Several: ``head_names`` stand
    in a second header row, a head equal to the one above it is blank, and a line stands where the
    first head changes. A column is as wide as its name or, with one blank more, its widest cell, and
    aligned to the right. This is what pandas 1.x ``DataFrame.to_latex(escape=False)`` prints for a
    frame of strings (but pandas cuts cells at 50 characters), with the lines between the groups added
    (Beukman, NERTransfer, ``analysis/v10/results.tex`` and ``analysis/v10/categories/all_cats.tex``).

    Raises ValueError when there are no rows, or a row does not fit.
    """
    levels = max(1, len(head_names))
    if len(head_names) == 1 or not rows or any((len(h), len(c)) != (levels, len(columns)) for h, c in rows):
        raise ValueError(
            f"{len(rows)} rows, not all of {levels} heads and {len(columns)} cells, or one head with a name"
        )
    widths = [max(len(name), *(1 + len(cells[i]) for _, cells in rows)) for i, name in enumerate(columns)]
    names, blanks, *body = (
        [text.rjust(width) for text, width in zip(line, widths, strict=True)]
        for line in (columns, [""] * len(columns), *(cells for _, cells in rows))
    )
    heads = [list(row[0]) for row in rows]
    if levels == 1:
        margin = max(len(head) for (head,) in heads)
        header, margins, ruled = [["{}", *names]], [[head.ljust(margin)] for (head,) in heads], set[int]()
    else:
        margins, empty = _sparse(heads)
        header = [[*empty, *names], [*head_names, *blanks]]
        ruled = {row for row in range(1, len(rows)) if heads[row][0] != heads[row - 1][0]}
    lines = [rf"\begin{{tabular}}{{{'l' * (levels + len(columns))}}}", r"\toprule", *map(_latex_row, header)]
    for row, (margin_cells, cells) in enumerate(zip(margins, body, strict=True)):
        lines += [r"\midrule"] if row == 0 or row in ruled else []
        lines.append(_latex_row([*margin_cells, *cells]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _sparse(heads: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """Heads of several levels with repeats blank, and the blank of every level: as wide as the last head shown."""
    levels = len(heads[0])
    shown = [heads[0]]
    for above, names in pairwise(heads):
        same = next((level for level in range(levels - 1) if names[level] != above[level]), levels - 1)
        shown.append([""] * same + names[same:])
    blanks = [" " * len(next(filter(None, reversed(level)), "")) for level in zip(*shown, strict=True)]
    return [[name or blank for name, blank in zip(names, blanks, strict=True)] for names in shown], blanks
