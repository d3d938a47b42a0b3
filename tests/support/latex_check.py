"""A check of LaTeX in place of a TeX run, which few machines can make."""

import re
from dataclasses import dataclass

from analysis.report.paper_tables import typeset


def document(table: typeset.Table) -> str:
    """The table in a document that compiles by itself, with the packages that its first line names."""
    text = typeset.latex(table)
    packages = text.partition("\n")[0].removeprefix("% Preamble: ").replace(r"}\usepackage", "}\n\\usepackage")
    return "\n".join([r"\documentclass{article}", packages, r"\begin{document}", f"{text}\\end{{document}}", ""])


_TOKEN = re.compile(r"%.*|\\[A-Za-z@]+\*?|\\?[\s\S]")
_GROUP = r"(?=\{)"
_ACCENTS = [*typeset._ABOVE.values(), *typeset._BELOW.values()]
# What has to follow a command; a text in braces is read after it.
_BOTH_COMMANDS = {
    **dict.fromkeys(["textbf", "text"], _GROUP),
    **dict.fromkeys("{}$&#%_", ""),
    "textcolor": r"\{(?:green|orange|red)\}" + _GROUP,
}
_TEXT_COMMANDS = {
    **_BOTH_COMMANDS,
    "caption": _GROUP,
    **dict.fromkeys(_ACCENTS, rf"(?=\{{(?:[^\W\d_]?\}}|\\[{re.escape(''.join(_ACCENTS))}]\{{))"),
    **dict.fromkeys(
        ["textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater", "textbar"], r"\{\}"
    ),
    **dict.fromkeys(["centering", "par", "smallskip", "footnotesize", "scriptsize", "raggedright"], ""),
    **dict.fromkeys(["toprule", "midrule", "bottomrule"], r"(?!\s*\[)"),
    "\\": r"(?!\s*[\[*])",
    "symbol": r"\{34\}",
    "label": r"\{[A-Za-z0-9:._/-]+\}",
    "resizebox": r"\{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi\}\{!\}(?=\{%?\s*\\begin\{tabular\})",
    "documentclass": r"\{article\}",
    "usepackage": r"(?:\[T1\])?\{[a-z]+\}",
    "begin": r"\{(document|table\*?|tabular|minipage)\}",
    "end": r"\{([a-z]+\*?)\}",
}
_MATHS_COMMANDS = {
    **_BOTH_COMMANDS,
    **dict.fromkeys(re.findall(r"\\([A-Za-z]+)", " ".join(typeset._MATHS.values())), ""),
}
_ENVIRONMENTS = {
    "document": "",
    "table": r"(?:\[[htbp!]+\])?(?!\[)",
    "table*": r"(?:\[[htbp!]+\])?(?!\[)",
    "tabular": r"\{([lcr]+)\}",
    "minipage": r"\{\\linewidth\}",
}


def check_latex(text: str) -> list[str]:
    """What is wrong with the LaTeX of a table, as ``line 3: what``; empty when nothing is.

    Strict: only the commands and environments that `typeset` writes and the published tables use
    are known, with the arguments they take. Braces, environments and ``$`` have to be closed in
    order. Every row of a ``tabular`` has to end in a double backslash and fill its columns; rules
    stand between rows. Outside mathematics, characters that TeX gives a meaning to or
    sets as others have to be escaped. Other characters than ASCII have to be of those that pdfLaTeX
    sets. A text with a ``documentclass`` has to load the packages it needs.
    """
    return _Check(text).problems


@dataclass
class _Open:
    """What is not closed yet: an environment by its name, ``{``, ``text`` (a group that is no mathematics) or ``$``."""

    kind: str
    line: int
    columns: int = 0
    filled: int = 1  # columns that the row has reached
    row_begun: bool = False
    scripted: bool = False  # in mathematics: the last atom has a script


class _Check:
    """One reading of a text from front to back."""

    def __init__(self, text: str) -> None:
        self.text, self.position, self.line = text, 0, 1
        self.problems: list[str] = []
        self.stack: list[_Open] = []
        self.command = ""  # whose group comes next
        self.whole = r"\documentclass" in text
        while found := _TOKEN.match(text, self.position):
            self.position = found.end()
            self.read(found[0])
            self.line += text.count("\n", found.start(), self.position)
        for opened in self.stack:
            self.report(f"{opened.kind} is never closed", opened.line)
        preamble, _, body = re.sub(r"(?<!\\)%.*", "", text).partition(r"\begin{document}")
        for package in typeset._packages(body):
            if package not in preamble:
                self.report(f"{package} is missing", 1)

    def report(self, problem: str, line: int | None = None) -> None:
        self.problems.append(f"line {line or self.line}: {problem}")

    @property
    def inner(self) -> _Open:
        """The innermost of what is open."""
        return self.stack[-1] if self.stack else _Open("", 0)

    def in_maths(self) -> bool:
        return next((opened.kind == "$" for opened in reversed(self.stack) if opened.kind in ("$", "text")), False)

    def read(self, token: str) -> None:
        if token.startswith("%"):
            self.comment(token)
        elif token.isspace() and token.isascii():
            self.white_space(token)
        elif token.startswith("\\"):
            self.any_command(token[1:])
        elif token == "&":
            self.next_cell()
        elif token == "}":
            self.close("{", "text")
        elif token == "$" and self.in_maths():
            self.close("$")
        elif token in "^_" and self.in_maths():
            self.script()
        else:
            self.content()
            if token == "{":
                self.open("text" if self.command in ("textbf", "text") else "{")
            elif token == "$":
                self.open("$")
                if self.text.startswith("$", self.position):
                    self.report("$$")
            else:
                self.character(token)

    def comment(self, token: str) -> None:
        """A comment swallows text: allowed are whole lines outside tables, and an empty one behind a brace."""
        before = self.text[: self.position - len(token)]
        outside = all(opened.kind == "document" for opened in self.stack)
        if not (outside and before[-1:] in ("", "\n")) and not (token == "%" and before[-1:] in "{}"):
            self.report("% is not escaped")

    def white_space(self, token: str) -> None:
        if token not in " \n":
            self.report(f"character U+{ord(token):04X}")
        if token == "\n" and re.compile(r"[ \t]*\n").match(self.text, self.position):
            self.end_paragraph("a blank line")

    def end_paragraph(self, how: str) -> None:
        if self.inner.kind not in ("", "document", "table", "table*", "minipage"):
            self.report(f"{how} inside {self.inner.kind}")

    def content(self) -> None:
        """Something that is set stands here."""
        if self.whole and not self.stack:
            self.report("outside the document")
        self.inner.scripted = False
        for opened in reversed(self.stack):
            if opened.kind == "tabular":
                opened.row_begun = True
                break

    def character(self, token: str) -> None:
        maths = self.in_maths()
        if token in "#~^_" or token in ("'`" if maths else '"<>|'):
            self.report(f"{token} is not escaped")
        elif not (token.isprintable() if token.isascii() else typeset._KEPT.fullmatch(token) and not maths):
            self.report(f"character U+{ord(token):04X}")

    def script(self) -> None:
        if self.inner.scripted:
            self.report("a second script on one atom")
        if found := re.compile(r"[A-Za-z0-9*+]").match(self.text, self.position):
            self.position = found.end()
            self.inner.scripted = True
        elif self.text.startswith("{", self.position):
            self.position += 1
            self.inner.scripted = True
            self.open("{")
        else:
            self.report("a script without text")

    def open(self, kind: str, columns: int = 0) -> None:
        self.stack.append(_Open(kind, self.line, columns))
        self.command = ""

    def close(self, *kinds: str) -> None:
        if self.inner.kind in kinds:
            self.stack.pop()
        else:
            self.report(f"end of {kinds[0]} inside {self.inner.kind or 'nothing'}")

    def any_command(self, name: str) -> None:
        known = _MATHS_COMMANDS if self.in_maths() else _TEXT_COMMANDS
        if name not in known:
            return self.report(rf"\{name} is not known {'in mathematics' if self.in_maths() else 'in text'}")
        found = re.compile(known[name]).match(self.text, self.position)
        if not found:
            return self.report(rf"\{name} is followed by something else than its arguments")
        self.position = found.end()
        if name == "begin":
            self.begin(found[1])
        elif name == "end":
            self.end(found[1])
        elif name in ("toprule", "midrule", "bottomrule"):
            self.rule(name)
        elif name == "\\":
            self.end_row()
        else:
            self.in_place(name, found)
            if name not in ("documentclass", "usepackage"):
                self.content()
            self.command = name

    def in_place(self, name: str, found: re.Match[str]) -> None:
        """Commands that may not stand everywhere."""
        if name == "par":
            self.end_paragraph(r"\par")
        elif name == "caption" and self.inner.kind not in ("table", "table*"):
            self.report(r"\caption outside a table")
        elif name == "usepackage" and self.stack:
            self.report(r"\usepackage inside the document")
        elif name == "documentclass" and re.sub("%.*", "", self.text[: found.start()]).strip() != r"\documentclass":
            self.report(r"\documentclass does not come first")

    def begin(self, name: str) -> None:
        arguments = re.compile(_ENVIRONMENTS[name]).match(self.text, self.position)
        if not arguments:
            return self.report(rf"\begin{{{name}}} is followed by something else than its arguments")
        self.position = arguments.end()
        if name == "document" and (self.stack or not self.whole):
            self.report("document without a class, or inside something")
        if name.startswith("table") and any(opened.kind != "document" for opened in self.stack):
            self.report(f"{name} inside {self.inner.kind}")
        if name != "document":
            self.content()
        self.open(name, len(arguments[1]) if name == "tabular" else 0)

    def end(self, name: str) -> None:
        if name == "tabular" and self.inner.row_begun:
            self.report(r"the last row has no \\")
        self.close(name)

    def next_cell(self) -> None:
        if self.inner.kind != "tabular":
            return self.report("& outside a row")
        self.inner.filled += 1
        self.inner.row_begun = True

    def end_row(self) -> None:
        row = self.inner
        if row.kind != "tabular":
            return self.report(r"\\ outside a row")
        if row.filled != row.columns:
            self.report(f"a row fills {row.filled} of {row.columns} columns")
        row.filled, row.row_begun = 1, False

    def rule(self, name: str) -> None:
        if self.inner.kind != "tabular" or self.inner.row_begun:
            self.report(rf"\{name} is not between rows")
