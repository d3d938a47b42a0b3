"""A page of a report as a browser sees it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects the text, and every attribute that makes a browser fetch something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [v or "" for k, v in attrs if k in ("src", "srcset", "data", "poster", "background")]
        self.links += [v or "" for k, v in attrs if k == "href"]
        if tag in ("link", "script", "iframe", "object"):
            self.fetched.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
