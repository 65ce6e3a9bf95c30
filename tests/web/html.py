"""Reading pages in tests: their tags, links and words, and whether they keep to the strict policy."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx2

ADDRESSES = ("href", "src", "action", "formaction", "poster", "data")
HIDDEN = ("head", "script", "style", "template")


class Html(HTMLParser):
    """A parsed page. ``words`` is what stands in its body, with single spaces."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._text: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self._text).split())

    @property
    def tiles(self) -> list[int]:
        """Ids of the pictures shown as tiles, in order."""
        return [int(value) for _, attributes in self.tags if (value := attributes.get("data-tile"))]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def link(self, rel: str) -> str | None:
        """Where the first link of this relation leads."""
        found = [attributes["href"] for attributes in self.all("a") if attributes.get("rel") == rel]
        return found[0] if found else None

    @property
    def links(self) -> list[str]:
        return [str(attributes["href"]) for attributes in self.all("a")]

    def violations(self) -> list[str]:
        """What a strict policy would refuse: inline code and styles, and anything from elsewhere."""
        found = []
        for tag, attributes in self.tags:
            if tag == "style" or (tag == "script" and not attributes.get("src")):
                found.append(f"inline <{tag}>")
            if tag in ("iframe", "object", "embed", "base"):
                found.append(f"<{tag}>")
            found += [f"{tag} {name}" for name in attributes if name.startswith("on") or name == "style"]
            for name in ADDRESSES:
                address = urlsplit((attributes.get(name) or "").strip())
                if address.scheme or address.netloc:
                    found.append(f"{tag} {name}={attributes[name]}")
        return found


def page(answer: httpx2.Response, status: int = 200) -> Html:
    """The page of an answer, which has to be well behaved."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    html = Html(answer.text)
    assert html.violations() == []
    return html
