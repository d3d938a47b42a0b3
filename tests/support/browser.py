"""Pages as headless Chromium shows them: the document after its scripts, and what a script of the test returned."""

import html
import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

from absent import absent

FRAME = """<!doctype html><html><body style="margin:0">
<iframe {source} style="width:{width}px;height:900px;border:0"></iframe>
<script>addEventListener("message", (event) => {{ document.documentElement.dataset.told = event.data; }});</script>"""
"""A screen of any width: the window of a browser is never narrower than 500 pixels."""
SCRIPT = """<script>setTimeout(() => {{
  const told = (() => {{ {script} }})();
  const page = document.documentElement;
  parent.postMessage(JSON.stringify({{ told, state: {{ ...page.dataset }}, page: page.outerHTML }}), "*");
}}, 200)</script></body>"""


def browser() -> str:
    """The headless browser. Fails the test where there is none: without it the page is untested."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    reason = "no Chromium on PATH: the page of a study is tested in a real browser; install chromium"
    absent(reason)


def looked_at(
    text: str,
    folder: Path,
    profile: Path,
    script: str = "return {}",
    view: str = "",
    width: int = 1200,
    sandboxed: bool = False,
) -> tuple[str, dict]:
    """Show a page of the report; ``script`` runs in it at the end and returns an object. Fails on an error of its own.

    ``view``: what stands behind # in its address; ``width`` of the screen in pixels.
    """
    text = text.replace("</body>", SCRIPT.format(script=script))
    (folder / "page.html").write_text(text, encoding="utf-8")
    source = f'src="page.html#{html.escape(view)}"'
    if sandboxed:
        source = f'sandbox="allow-scripts" srcdoc="{html.escape(text)}"'
    (folder / "frame.html").write_text(FRAME.format(source=source, width=width), encoding="utf-8")
    command = [
        browser(), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000",
        "--disable-features=IsolateSandboxedIframes",  # virtual time is that of one process
        f"--user-data-dir={profile}", "--window-size=1280,1000", "--dump-dom", (folder / "frame.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    outer = _Told()
    outer.feed(done.stdout.decode())
    found = json.loads(outer.told)
    assert "error" not in found["state"], found["state"]["error"]
    assert found["state"]["ready"] == "true"
    return found["page"], found["told"]


class _Told(HTMLParser):
    told = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html":
            self.told = dict(attrs)["data-told"] or ""
