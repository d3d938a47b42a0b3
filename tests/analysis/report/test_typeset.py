"""Tables as text for papers: what TeX and GitHub get to read, and that the check finds what TeX would not."""

import html
import math
import re
import shutil
import string
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from absent import absent
from hypothesis import given, settings
from hypothesis import strategies as st
from latex_check import check_latex, document
from markdown_it import MarkdownIt
from published_categories import PUBLISHED_LATEX as BY_CATEGORY
from published_frames import PUBLISHED_LATEX as IN_LANGUAGE

from analysis.report.paper_tables.typeset import (
    Entry,
    Table,
    latex,
    latex_escape,
    markdown,
    markdown_escape,
    published_tabular,
    score_entry,
)
from analysis.statistics.tables import MINUS, MISSING

HOSTILE = [
    "\\", "{", "}", "$", "$$", "&", "#", "%", "_", "^", "~", "<", ">", "|", '"', "'", "''", "`", "[", "]", "*", "--",
    ",,", "?`", "\\|", "\\\\", "\\end{tabular}", "\n\n", "\x00", "\x1c", "\u2028", "\u202e", "\ud800", MINUS, "±", "é",
    "ŋ", "ẹ́", "ɓ", "ቋ", "漢", "😀", "\u0301", "[2pt]", "1.",
]  # fmt: skip
ANY = st.lists(st.sampled_from(HOSTILE) | st.characters(), max_size=5).map("".join)


def entries() -> st.SearchStrategy[Entry]:
    return st.builds(Entry, ANY, st.booleans(), st.booleans(), ANY)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Tables of any text, with and without heads, rows, rules, notes."""
    heads, columns = draw(st.integers(0, 2)), draw(st.integers(1, 4))
    rows = draw(st.integers(0, 3))
    return Table(
        columns=draw(st.lists(ANY, min_size=columns, max_size=columns)),
        rows=[
            (
                draw(st.lists(ANY, min_size=heads, max_size=heads)),
                draw(st.lists(entries(), min_size=columns, max_size=columns)),
            )
            for _ in range(rows)
        ],
        head_names=draw(st.lists(ANY, min_size=heads, max_size=heads)),
        caption=draw(ANY),
        label=draw(ANY),
        notes=draw(st.lists(ANY, max_size=2)),
        rules=draw(st.sets(st.integers(0, rows - 2))) if rows > 1 else set(),
    )


def table(**changed: object) -> Table:
    """Two rows with everything a table can have."""
    best = Entry("66.9", bold=True, star=True, note="± 1.7")
    usual = dict(
        columns=["hau", "ibo", "swa"],
        rows=[(["base", "hau"], [best, Entry(f"{MINUS}1.2"), Entry(MISSING)]), (["swa", "yor"], [Entry("3")] * 3)],
        head_names=["Start", "Source"],
        caption="F1 in %",
        label="tab:f1",
        notes=["* best"],
        rules={0},
    )
    return Table(**{**usual, **changed})  # type: ignore[arg-type]


# --- the model -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"rows": [(["base", "hau"], [Entry("1")] * 2)], "rules": set()},
        {"rows": [(["base", "hau"], [Entry("1")] * 4)], "rules": set()},
        {"rows": [(["base"], [Entry("1")] * 3)], "rules": set()},
        {"rules": {1}},
        {"rules": {-1}},
        {"columns": [], "head_names": [], "rows": [], "rules": set()},
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        table(**changed)


def test_a_score_is_rounded_with_its_sd_and_a_missing_one_never_stands_out() -> None:
    assert score_entry(66.94, 1.66, bold=True) == Entry("66.9", bold=True, note="± 1.7")
    assert score_entry(-0.456, decimals=2, star=True) == Entry(f"{MINUS}0.46", False, True)
    assert score_entry(math.nan, 1.0, bold=True, star=True) == Entry(MISSING)


# --- LaTeX ------------------------------------------------------------------------------------------------


def test_latex_of_a_table() -> None:
    assert latex(table()) == (
        r"""% Preamble: \usepackage{booktabs}\usepackage{graphicx}
\begin{table}[t]
\centering
\caption{F1 in \%}
\label{tab:f1}
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
\begin{tabular}{llrrr}
\toprule
Start & Source & hau & ibo & swa \\
\midrule
base & hau & \textbf{66.9}$^{*}$ {\scriptsize $\pm$ 1.7} & $-$1.2 & n/a \\
\midrule
swa & yor & 3 & 3 & 3 \\
\bottomrule
\end{tabular}%
}
\par\smallskip
\begin{minipage}{\linewidth}\footnotesize\raggedright
{*} best\par
\end{minipage}
\end{table}
"""
    )


def test_a_bare_table_has_no_caption_label_or_notes() -> None:
    text = latex(Table(["a"], [([], [Entry("1")])], []))
    assert not re.search("caption|label|minipage", text)


def test_a_document_loads_what_it_needs_and_no_more() -> None:
    plain, full = document(Table(["a"], [], [])), document(table(caption="ŋ"))
    assert re.findall(r"^\\usepackage.*", plain, re.M) == [r"\usepackage{booktabs}", r"\usepackage{graphicx}"]
    assert re.findall(r"^\\usepackage.*", full, re.M) == [
        r"\usepackage[T1]{fontenc}",
        r"\usepackage{booktabs}",
        r"\usepackage{graphicx}",
    ]
    assert full.startswith("\\documentclass{article}\n") and full.endswith("\\end{document}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 100% #1 {x} $5", r"a\_b \& 100\% \#1 \{x\} \$5"),
        ("\\ ^ ~", r"\textbackslash{} \textasciicircum{} \textasciitilde{}"),
        ('a<b>c|"d"`', r"a\textless{}b\textgreater{}c\textbar{}\symbol{34}d\symbol{34}\`{}"),
        ("*[x]", "{*}{[}x{]}"),
        ("--- '' ,, it's", "-{}-{}- '{}' ,{}, it's"),
        (f"{MINUS}1.2 ± 0.3", r"$-$1.2 $\pm$ 0.3"),
        ("5 × 3 ≤ ρ²", r"5 $\times$ 3 $\leq$ $\rho$$^{2}$"),
        (" a\t\n\n b\x00\u200bc\u2028", "a bc"),
        ("Yorùbá – “Ñandú” ŋ", "Yorùbá – “Ñandú” ŋ"),
        ("e\u0301 Ẹ̀ ọ ṣ m̀", r"é \d{È} \d{o} \d{s} \`{m}"),
        ("ǫ́", r"\k{ó}"),
        ("አማ漢😀", "{[}U+12A0{]}{[}U+121B{]}{[}U+6F22{]}{[}U+1F600{]}"),
        ("ɓ\u0301 \ud800", "{[}U+0253{]}{[}U+0301{]} {[}U+D800{]}"),
        ("<\u0338 =\u0338 ?\u0301", r"{[}U+226E{]} $\neq$ ?{[}U+0301{]}"),
    ],
)
def test_escaping_for_latex(text: str, expected: str) -> None:
    assert latex_escape(text) == expected


NAMED = {"backslash": "\\", "asciicircum": "^", "asciitilde": "~", "less": "<", "greater": ">", "bar": "|"}
SET = re.compile(r"\\text([a-z]+)\{\}|(\\symbol\{34\})|(\\`\{\})|\\([{}$&#%_])|\{([][*]?)\}|([^\\{}$&#%_^~<>|\"`])")


def as_set(text: str) -> str:
    """What TeX sets for the escapes of ASCII; written from TeX's side, not from the table of escapes."""
    out, at = "", 0
    while at < len(text):
        found = SET.match(text, at)
        assert found, text[at:]
        name, quote, grave, escaped, group, bare = found.groups()
        out += NAMED[name] if name else '"' if quote else "`" if grave else escaped or group or bare or ""
        at = found.end()
    return out


@given(st.text(string.ascii_letters + string.digits + string.punctuation + " ", max_size=30))
def test_escaping_for_latex_loses_no_ascii(text: str) -> None:
    escaped = latex_escape(text)
    assert as_set(escaped) == " ".join(text.split())
    assert not re.search(r"--|''|,,|[?!]`", escaped)  # ligatures


@pytest.mark.parametrize(
    ("label", "expected"), [("tab: my_f1/x", "tab:-my_f1/x"), ("a%b}", "au25bu7D"), ("é", "uE9"), ("\n", "")]
)
def test_a_label_becomes_a_key_that_latex_takes(label: str, expected: str) -> None:
    assert re.findall(r"\\label\{(.*)\}", latex(table(label=label))) == ([expected] if expected else [])


@given(tables(), st.sampled_from([latex, document]))
@settings(deadline=None)
def test_any_text_in_any_place_makes_sound_latex(any_table: Table, write: Callable[[Table], str]) -> None:
    assert check_latex(write(any_table)) == []


# --- the check --------------------------------------------------------------------------------------------

GOOD = re.sub("%.*\n", "", document(table(caption="F1")))
DOCUMENT = "\\documentclass{article}\n\\begin{document}\n%s\n\\end{document}\n"
SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
ROW = r"\begin{tabular}{lr}" + "\n%s\n" + r"\end{tabular}"


def test_the_check_misses_no_lost_piece() -> None:
    assert check_latex(GOOD) == []
    pieces = list(re.finditer(r"[{}$&]|\\\\|\\(?:begin|end)\{\w+\}|\\(?:documentclass|usepackage).*", GOOD))
    assert len(pieces) > 50
    cut = [GOOD[: found.start()] + GOOD[found.end() :] for found in pieces]
    assert [text for text in cut if not check_latex(text)] == []


@pytest.mark.parametrize("piece", ["&", r" \\", "$", "{", "}", "#", "^", "~", "_", "%x", "<", '"', "\\", "ቋ", "\x07"])
def test_the_check_finds_a_stray_piece_in_any_text(piece: str) -> None:
    texts = ("F1", "Start", "base", "66.9", "1.7", "1.2", "n/a", "yor", "best")
    put_in = [GOOD.replace(text, text + piece, 1) for text in texts]
    assert [text for text in put_in if not check_latex(text)] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ROW % r"a & b & c \\", "line 2: a row fills 3 of 2 columns"),
        (ROW % r"a \\", "line 2: a row fills 1 of 2 columns"),
        (ROW % "a & b", r"line 3: the last row has no \\"),
        (ROW % r"a & b \midrule", r"line 2: \midrule is not between rows"),
        (ROW % "a & b \\\\\n[2pt] & c \\\\", r"line 2: \\ is followed by something else than its arguments"),
        (ROW % "a & b \\\\\n* & c \\\\", r"line 2: \\ is followed by something else than its arguments"),
        (ROW % "\\midrule\n[2pt] & b \\\\", r"line 2: \midrule is followed by something else than its arguments"),
        (ROW % "a & b \\\\\n\n\\midrule", "line 2: a blank line inside tabular"),
        (ROW % "% x\na & b \\\\", "line 2: % is not escaped"),
        (ROW % r"a & \textcolor{mauve}{b} \\", r"line 2: \textcolor is followed by something else than its arguments"),
        (ROW % r"a & \textbf b \\", r"line 2: \textbf is followed by something else than its arguments"),
        (ROW % r"a & \'{bc} \\", r"line 2: \' is followed by something else than its arguments"),
        (ROW % r"a & \pm \\", r"line 2: \pm is not known in text"),
        (ROW % r"a & $\textbar{}$ \\", r"line 2: \textbar is not known in mathematics"),
        (ROW % r"a & $é$ \\", "line 2: character U+00E9"),
        (ROW % r"a & $x^{2}^3$ \\", "line 2: a second script on one atom"),
        (ROW % r"a & $x^$ \\", "line 2: a script without text"),
        (ROW % r"a & $$x$$ \\", "line 2: $$"),
        ("\\begin{tabular}{lx}", r"line 1: \begin{tabular} is followed by something else than its arguments"),
        ("\\begin{center}\n\\end{center}", r"line 1: \begin is followed by something else than its arguments"),
        ("\n\\begin{table}", "line 2: table is never closed"),
        ("\\begin{table}\n\\begin{table}\n\\end{table}\n\\end{table}", "line 2: table inside table"),
        (r"\caption{x}", r"line 1: \caption outside a table"),
        ("\\begin{table}\n\\caption{a\\par}\n\\end{table}", r"line 2: \par inside {"),
        ("\\documentclass{article}\nx\\begin{document}\n\\end{document}", "line 2: outside the document"),
        ("\\begin{document}\n\\end{document}", "line 1: document without a class, or inside something"),
        ("\\usepackage{booktabs}\n\\documentclass{article}", r"line 2: \documentclass does not come first"),
        (GOOD.replace("\\usepackage{booktabs}", "", 1), r"line 1: \usepackage{booktabs} is missing"),
        (GOOD.replace("\\usepackage{book", "% \\usepackage{book", 1), r"line 1: \usepackage{booktabs} is missing"),
        (DOCUMENT % r"100\% $\text{a}$", r"line 1: \usepackage{amsmath} is missing"),
        (DOCUMENT % r"\usepackage{booktabs}", r"line 3: \usepackage inside the document"),
        (GOOD.replace("F1", "ŋ"), r"line 1: \usepackage[T1]{fontenc} is missing"),
        ("a % b", "line 1: % is not escaped"),
        (r"\textbf{$a}$", "line 1: end of { inside $"),
        (r"$\textbf{b_c}$", "line 1: _ is not escaped"),
        ("$x^2'$", "line 1: ' is not escaped"),
        (SHRINK + "{}", r"line 1: \resizebox is followed by something else than its arguments"),
        ("a\tb", "line 1: character U+0009"),
        ("\\", "line 1: \\ is not known in text"),
    ],
)  # fmt: skip
def test_what_the_check_says(text: str, problem: str) -> None:
    assert problem in check_latex(text)


@pytest.mark.parametrize(
    "text",
    [
        ROW % r"a & $\textbf{b (1.0)}^*$ \\",
        ROW % r"a & $x^{2}y^{2}$ \\",
        "% a comment & with $ anything {\n\n" + ROW % r"\toprule",
        ROW % r"100\% \& \textcolor{red}{a} & \d{\'{e}} \\",
    ],
)
def test_the_check_lets_sound_latex_pass(text: str) -> None:
    assert check_latex(text) == []


# --- Markdown ---------------------------------------------------------------------------------------------


def test_markdown_of_a_table() -> None:
    assert markdown(table(notes=["1. best", "- x"])) == (
        f"""F1 in %

| Start | Source | hau | ibo | swa |
| :--- | :--- | ---: | ---: | ---: |
| base | hau | **66.9**\\* ± 1.7 | {MINUS}1.2 | n/a |
| swa | yor | 3 | 3 | 3 |

1\\. best

\\- x
"""
    )


@given(tables())
@settings(deadline=None)
def test_any_text_in_any_place_makes_a_pipe_table(any_table: Table) -> None:
    text = markdown(any_table)
    assert text.encode("utf-8").decode("utf-8") == text
    body = [line for line in text.splitlines() if line.startswith("|")]
    assert len(body) == 2 + len(any_table.rows)
    for line in body:
        unescaped = re.findall(r"(?<!\\)(?:\\\\)*\|", line)
        assert len(unescaped) == 1 + len(any_table.head_names) + len(any_table.columns)


PRINTABLE = st.text(
    st.sampled_from(string.punctuation + " ") | st.characters(exclude_categories=("C", "Z")), max_size=9
)


@given(st.lists(PRINTABLE, min_size=1, max_size=4))
def test_escaping_for_markdown_loses_nothing(texts: list[str]) -> None:
    line = " | ".join(map(markdown_escape, texts))
    read = [html.unescape(re.sub(r"\\([!-/:-@[-`{-~])", r"\1", cell)) for cell in line.split(" | ")]
    assert read == [" ".join(text.split()) for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`x`", r"\`x\`"),
        ("<b>&lt;", "&lt;b&gt;&amp;lt;"),
        ("*a* _b_ ~~c~~ $d$", r"\*a\* \_b\_ \~\~c\~\~ \$d\$"),
        ("![a](b)", r"!\[a\](b)"),
        ("a|b\\|c", r"a\|b\\\|c"),
    ],
)
def test_what_github_gives_a_meaning_to_is_escaped(text: str, expected: str) -> None:
    assert markdown_escape(text) == expected


@pytest.mark.parametrize("text", ["# a", "- a", "+ a", "1. a", "12) a", "===", "---", "> a", "* a"])
def test_a_caption_stays_a_paragraph(text: str) -> None:
    first = markdown(table(caption=text)).splitlines()[0]
    assert MarkdownIt("commonmark").render(first) == f"<p>{html.escape(text)}</p>\n"


def test_control_characters_and_lone_surrogates_do_not_reach_markdown() -> None:
    assert markdown_escape("a\x00\x1b\u202eb\r\n\u2028c\ud800") == "ab c\\[U+D800\\]"


def test_an_empty_bold_entry_makes_no_stars_in_markdown() -> None:
    rows = [([], [Entry("", bold=True), Entry("", note="(2)")])]
    assert markdown(Table(["a", "b"], rows, [])).splitlines()[2] == "|  | (2) |"


# --- the published tables ---------------------------------------------------------------------------------


def published_rows(text: str) -> list[list[str]]:
    lines = [line.removesuffix(r"\\") for line in text.splitlines() if line.endswith(r"\\")]
    return [[cell.strip() for cell in line.split("&")] for line in lines]


def test_a_published_table_with_one_head_comes_out_byte_for_byte() -> None:
    header, *rows = published_rows(IN_LANGUAGE)
    assert published_tabular(header[1:], [(row[:1], row[1:]) for row in rows]) == IN_LANGUAGE
    assert check_latex(IN_LANGUAGE) == []


def test_a_published_table_with_two_heads_comes_out_byte_for_byte() -> None:
    header, names, *rows = published_rows(BY_CATEGORY)
    languages = [rows[i - i % 3][0] for i in range(len(rows))]
    named = [([language, row[1]], row[2:]) for language, row in zip(languages, rows, strict=True)]
    assert published_tabular(header[2:], named, names[:2]) == BY_CATEGORY
    assert check_latex(BY_CATEGORY) == []


def test_a_published_column_is_as_wide_as_its_name_and_its_blank_heads_as_the_last() -> None:
    # printed by pandas 1.5.3, to_latex(escape=False); the second \midrule added
    rows = [(["aa", "x", "1"], ["5"]), (["aa", "x", "2"], [""]), (["aa", "yy", "2"], ["7"]), (["b", "yy", "2"], ["8"])]
    assert published_tabular(["column"], rows, ["A", "B", "C"]) == (
        r"""\begin{tabular}{llll}
\toprule
  &    &   & column \\
A & B & C &        \\
\midrule
aa & x & 1 &      5 \\
  &    & 2 &        \\
  & yy & 2 &      7 \\
\midrule
b & yy & 2 &      8 \\
\bottomrule
\end{tabular}
"""
    )


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([], []),
        ([(["a"], ["1", "2"])], []),
        ([(["a", "b"], ["1"])], []),
        ([(["a"], ["1"])], ["A", "B"]),
        ([(["a"], ["1"])], ["A"]),
    ],
)
def test_published_rows_that_do_not_fit_are_refused(rows: list[tuple[list[str], list[str]]], names: list[str]) -> None:
    with pytest.raises(ValueError):
        published_tabular(["x"], rows, names)


# --- TeX itself, where there is one ------------------------------------------------------------------------

LETTERS = "".join(map(chr, range(0xA1, 0x180))) + "ȘșȚț–—‘’“”†‡•…«»αβΩ≤≥≠≈→∞ẹọṣẸ̀"
TYPESET = {
    "usual": table(),
    "wide": table(columns=["c" * 9] * 12, rows=[(["a", "b"], [Entry("66.9", note="± 1.7")] * 12)], rules=set()),
    "letters": table(caption=LETTERS, notes=list(LETTERS)),
    "empty": Table(["a"], [], []),
    "only heads": Table([], [(["a"], [])], ["h"]),
    **{
        f"hostile {n}": Table(
            columns=[text] * 2,
            rows=[([text], [Entry(text, True, True, text), Entry(text)])] * 2,
            head_names=[text],
            caption=text,
            label=text,
            notes=[text],
            rules={0},
        )
        for n, text in enumerate([*("".join(HOSTILE[i::6]) for i in range(6)), string.printable, "".join(HOSTILE)])
    },
}


@pytest.mark.parametrize("name", TYPESET)
def test_hostile_tables_are_sound(name: str) -> None:
    assert check_latex(document(TYPESET[name])) == []


@pytest.mark.parametrize("name", TYPESET)
def test_tex_compiles_them(name: str, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        absent("pdflatex is not on PATH; on Debian: apt-get install texlive-latex-recommended")
    (tmp_path / "table.tex").write_text(document(TYPESET[name]), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    log = (tmp_path / "table.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert "Missing character" not in log
    assert (tmp_path / "table.pdf").stat().st_size > 0
    assert name != "wide" or "Overfull" not in log
