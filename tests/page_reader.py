"""A page read back: its tags, texts and tables, as a browser without scripts would see them."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "br", "wbr", "path", "use", "rect", "circle", "image"}  # closed by themselves


class Page(HTMLParser):
    """tags: (name, attributes) in order; texts: between them; tables: rows of cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)
        if "td" in self.open or ("th" in self.open and self.tables):
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def table(self, heading: str) -> list[list[str]]:
        """The first table that has a column of this heading, its heads first."""
        return next(table for table in self.tables if heading in table[0])

    def check_self_contained(self) -> None:
        """Nothing runs and nothing is loaded; links lead to a place in the page or to a file beside it."""
        names = {tag for tag, _ in self.tags}
        assert names & {"script", "link", "img", "iframe", "object", "embed", "form", "base"} == set()
        for _, attrs in self.tags:
            assert not [name for name in attrs if name == "src" or name.startswith("on")]
            for name in ("href", "xlink:href"):
                assert ":" not in (attrs.get(name) or "") and not (attrs.get(name) or "").startswith("/")
        ids = [attrs["id"] for _, attrs in self.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        links = [value[1:] for _, attrs in self.tags for value in map(attrs.get, ("href", "xlink:href")) if value]
        assert {link for link in links if not link.endswith((".html", "/"))} <= set(ids)
