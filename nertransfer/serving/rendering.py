"""Tagged texts as CoNLL columns, JSON lines, marked text, and an HTML page with coloured entities. Pure."""

import base64
import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from nertransfer.core.text import aligned, count
from nertransfer.registry.tagger import Tagged

COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#bbbbbb")
"""Told apart by colour-blind people, black text legible on each (Okabe and Ito 2008); the label stands beside it."""
TERMINAL_COLOURS = (74, 172, 36, 227, 175, 166, 250)
"""The nearest to these of the 256 that terminals have."""

STYLE = """
body { font: 16px/2.1 system-ui, "Noto Sans", "Noto Sans Ethiopic", sans-serif; color: #000; background: #fff;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.2rem; line-height: 1.4; overflow-wrap: anywhere; }
p { margin: 0; padding: .25rem 0 .25rem 3.5rem; border-top: 1px solid #ddd; position: relative;
  white-space: pre-wrap; overflow-wrap: anywhere; }
p::before { content: attr(data-line); position: absolute; left: 0; color: #595959; font-size: .8rem; }
mark { color: #000; padding: .2em .35em; border-radius: .3em; box-decoration-break: clone;
  -webkit-box-decoration-break: clone; }
mark b { font-size: .7em; margin-left: .45em; letter-spacing: .03em; vertical-align: .1em; user-select: none; }
""" + "".join(f"mark.c{i} {{ background: {colour}; }}\n" for i, colour in enumerate(COLOURS))


def conll(texts: Sequence[Tagged]) -> str:
    """Word and IOB2 tag in two columns, an empty line after each text."""
    blocks = []
    for one in texts:
        rows = [f"{one.text[a:b]} {tag}" for (a, b), tag in zip(one.places, one.tags(), strict=True)]
        blocks.append("".join(f"{row}\n" for row in rows) + "\n")
    return "".join(blocks)


def json_lines(lines: Sequence[int], texts: Sequence[Tagged]) -> str:
    """An object a text: ``line`` of the input, ``text``, ``entities`` (category, text, start, end, score)."""
    made = []
    for line, one in zip(lines, texts, strict=True):
        entities = [
            {"category": e.category, "text": one.text[e.start : e.end], "start": e.start, "end": e.end,
             "score": round(e.score, 6)}
            for e in one.entities
        ]  # fmt: skip
        made.append(json.dumps({"line": line, "text": one.text, "entities": entities}, ensure_ascii=False) + "\n")
    return "".join(made)


def marked(texts: Sequence[Tagged], colours: bool = False) -> str:
    """Each text with its entities in brackets, and a line for each: category, text, characters, score.

    ``colours``: for a terminal, with colours in place of brackets. Control characters of a text are shown, not sent.
    """
    classes = _classes(texts)
    blocks = []
    for one in texts:
        line, at = "", 0
        for e in one.entities:
            found, colour = visible(one.text[e.start : e.end]), TERMINAL_COLOURS[classes[e.category]]
            line += visible(one.text[at : e.start])
            line += (
                f"\x1b[30;48;5;{colour}m {found} \x1b[1m{e.category} \x1b[0m" if colours else f"[{e.category} {found}]"
            )
            at = e.end
        rows = [
            (f"  {e.category}", visible(one.text[e.start : e.end]), f"{e.start}-{e.end}", f"{e.score:.2f}")
            for e in one.entities
        ]
        table = aligned(rows, range(4)) or "  no entities"
        blocks.append(f"{line}{visible(one.text[at:])}\n{table}\n")
    return "\n".join(blocks)


def visible(text: str) -> str:
    """A text without what a terminal would obey: control characters but tab and line feed become U+FFFD."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _commands(character) else character for character in text)


def _commands(character: str) -> bool:
    return unicodedata.category(character) == "Cc" and character not in "\t\n"


def page(title: str, lines: Sequence[int], texts: Sequence[Tagged]) -> str:
    """One self-contained page: no script, nothing from elsewhere, every text escaped."""
    body = Markup("<h1>{}</h1>\n{}").format(title, highlighted(lines, texts))
    return document(title, STYLE, body)


def highlighted(lines: Sequence[int], texts: Sequence[Tagged]) -> Markup:
    """The texts as paragraphs with their line and coloured entities, under a legend with their numbers."""
    classes = _classes(texts)
    counts = Counter(entity.category for one in texts for entity in one.entities)
    legend = Markup(" ").join(_mark(f"{counts[c]}", c, classes[c], "") for c in classes) or "no entities"
    paragraphs = Markup("\n").join(
        Markup('<p dir="auto" data-line="{}">{}</p>').format(line, _highlighted(one, classes))
        for line, one in zip(lines, texts, strict=True)
    )
    read = count(len(texts), "text")
    return Markup("<div>{} in {}</div>\n{}").format(legend, read, paragraphs)


def document(title: str, style: str, body: Markup, more: str = "") -> str:
    """A whole page that may use nothing but its own ``style``; ``more``: what else its policy allows."""
    return Markup(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        "<style>{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    ).format(title=title, style=Markup(style), body=body, policy=Markup(policy(style, more)))


def policy(style: str, more: str = "") -> str:
    """The content security policy of a page: this very style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'" + (f"; {more}" if more else "")


def _classes(texts: Sequence[Tagged]) -> dict[str, int]:
    """The place of each category's colour."""
    categories = sorted({entity.category for one in texts for entity in one.entities})
    return {category: min(i, len(COLOURS) - 1) for i, category in enumerate(categories)}


def _highlighted(one: Tagged, classes: dict[str, int]) -> Markup:
    parts, at = [], 0
    for e in one.entities:
        parts.append(one.text[at : e.start])
        parts.append(_mark(one.text[e.start : e.end], e.category, classes[e.category], f"score {e.score:.3f}"))
        at = e.end
    return Markup("").join([*parts, one.text[at:]])


def _mark(text: str, category: str, place: int, title: str) -> Markup:
    return Markup('<mark class="c{}" title="{}">{}<b>{}</b></mark>').format(place, title, text, category)
