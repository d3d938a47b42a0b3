"""The page of a server on which people try a model: a box for text, and the text with its entities below it. Pure."""

from collections.abc import Sequence
from urllib.parse import parse_qs

from markupsafe import Markup

from nertransfer.registry.tagger import LONGEST_TEXT, Refused, Tagged
from nertransfer.serving.rendering import STYLE, document, highlighted, policy

FIELD = "text"
PLACE = "/"
_STYLE = (
    STYLE
    + """
form { margin: 0 0 1.5rem; }
label { display: block; line-height: 1.5; }
textarea { font: inherit; line-height: 1.5; width: 100%; min-height: 9rem; box-sizing: border-box; padding: .5rem;
  border: 1px solid #767676; border-radius: .3em; resize: vertical; }
button { font: inherit; line-height: 1.5; margin-top: .5rem; padding: .4rem 1.2rem; border: 0; border-radius: .3em;
  background: #1f4e79; color: #fff; cursor: pointer; }
button:focus-visible, textarea:focus-visible { outline: 3px solid #56b4e9; outline-offset: 2px; }
.refused { color: #a00000; border: 0; padding: 0; }
@media (max-width: 40rem) { body { margin: 1rem auto; } button { width: 100%; } p { padding-left: 2rem; } }
"""
)
_FORM = "form-action 'self'"
HEADERS = {
    "Content-Security-Policy": policy(_STYLE, f"{_FORM}; frame-ancestors 'none'"),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser says "Origin: null" when the form is sent
    "Cache-Control": "no-store",
}
"""Of every answer that is this page."""


def written(body: bytes) -> str:
    """The text in the form that a browser sends. Raises Refused where there is none, or too much."""
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1)
        text = fields[FIELD][0].replace("\r\n", "\n")
    except (KeyError, ValueError) as error:
        raise Refused("this is not what the page's form sends") from error
    if len(text) > LONGEST_TEXT:
        raise Refused(f"the text has {len(text)} characters, more than {LONGEST_TEXT}: give it in parts")
    return text


def page(name: str, text: str = "", found: Sequence[tuple[int, Tagged]] | None = None, refused: str = "") -> str:
    """The page of the model ``name`` with ``text`` in its box; ``found``: its lines with their numbers, once tagged."""
    parts = [
        Markup(
            '<h1>{name}</h1>\n<form method="post" action="{place}" accept-charset="utf-8">\n'
            '<label for="{field}">Text, one sentence or paragraph a line</label>\n'
            '<textarea id="{field}" name="{field}" dir="auto" required spellcheck="false">\n{text}</textarea>\n'
            "<button>Find entities</button>\n</form>"
        ).format(name=name, place=PLACE, field=FIELD, text=text)
    ]
    if refused:
        parts.append(Markup('<p class="refused" role="alert">{}</p>').format(refused))
    if found is not None:
        shown = highlighted([number for number, _ in found], [one for _, one in found])
        parts.append(Markup("<main>\n{}\n</main>").format(shown))
    return document(name, _STYLE, Markup("\n").join(parts), _FORM)
