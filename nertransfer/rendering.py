"""Tagged texts as CoNLL columns, as JSON lines, as an HTML page with coloured entities. Pure."""

import json
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from nertransfer.nouns import count
from nertransfer.served import Tagged

COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#bbbbbb")
"""Told apart by colour-blind people, black text legible on each (Okabe and Ito 2008); the label stands beside it."""

_STYLE = """
body { font: 16px/2.1 system-ui, "Noto Sans", "Noto Sans Ethiopic", sans-serif; color: #000; background: #fff;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.2rem; line-height: 1.4; overflow-wrap: anywhere; }
p { margin: 0; padding: .25rem 0 .25rem 3.5rem; border-top: 1px solid #ddd; position: relative;
  white-space: pre-wrap; overflow-wrap: anywhere; }
p::before { content: attr(data-line); position: absolute; left: 0; color: #595959; font-size: .8rem; }
mark { color: #000; padding: .2em .35em; border-radius: .3em; box-decoration-break: clone;
  -webkit-box-decoration-break: clone; }
mark b { font-size: .7em; margin-left: .45em; letter-spacing: .03em; vertical-align: .1em; user-select: none; }
"""


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


def page(title: str, lines: Sequence[int], texts: Sequence[Tagged]) -> str:
    """One self-contained page: no script, nothing from elsewhere, every text escaped."""
    counts = Counter(entity.category for one in texts for entity in one.entities)
    colours = {category: COLOURS[min(i, len(COLOURS) - 1)] for i, category in enumerate(sorted(counts))}
    legend = Markup(" ").join(_mark(f"{counts[c]}", c, colours[c], "") for c in colours) or "no entities"
    paragraphs = Markup("\n").join(
        Markup('<p dir="auto" data-line="{}">{}</p>').format(line, _highlighted(one, colours))
        for line, one in zip(lines, texts, strict=True)
    )
    return Markup(
        '<!doctype html>\n<html>\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n<style>{style}</style>\n</head>\n'
        "<body>\n<h1>{title}</h1>\n<div>{legend} in {read}</div>\n{paragraphs}\n</body>\n</html>\n"
    ).format(title=title, style=Markup(_STYLE), legend=legend, read=count(len(texts), "text"), paragraphs=paragraphs)


def _highlighted(one: Tagged, colours: dict[str, str]) -> Markup:
    parts, at = [], 0
    for e in one.entities:
        parts.append(one.text[at : e.start])
        parts.append(_mark(one.text[e.start : e.end], e.category, colours[e.category], f"score {e.score:.3f}"))
        at = e.end
    return Markup("").join([*parts, one.text[at:]])


def _mark(text: str, category: str, colour: str, title: str) -> Markup:
    return Markup('<mark style="background:{}" title="{}">{}<b>{}</b></mark>').format(colour, title, text, category)
