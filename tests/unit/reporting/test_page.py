"""A page that stands alone: nothing of it comes from elsewhere, or is taken for markup."""

import re
from html.parser import HTMLParser

from tasks.reporting.page import Cell, Grid, Page, Picture, Section, cell

EVIL = '<script>alert(1)</script>"&'
PAGE = Page(
    title=EVIL,
    lead=EVIL,
    sections=[
        Section(
            "Models",
            [EVIL],
            [Grid(("model", "low", EVIL), [[cell(EVIL), cell(0.25), Cell(EVIL, href="a.html")]])],
            [Picture(b"\x89PNG", EVIL)],
        ),
        Section("Rest"),
    ],
    words={"low": "the lower end", EVIL: EVIL},
    notice=EVIL,
    links={EVIL: "index.html"},
)


class Read(HTMLParser):
    """Collects tags with their attributes; fails where tags do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(page: Page) -> Read:
    found = Read()
    found.feed(page.render())
    assert found.open == []
    return found


def test_nothing_is_asked_of_a_network():
    text = PAGE.render()
    assert re.findall(r"https?:|//[a-z]|@import|url\(", text) == []
    sources = [attrs["src"] for tag, attrs in read(PAGE).tags if tag == "img"]
    assert sources == ["data:image/png;base64,iVBORw=="]


def test_what_comes_from_data_is_no_markup():
    assert [tag for tag, _ in read(PAGE).tags].count("script") == 1
    assert EVIL not in PAGE.render()


def test_links_lead_somewhere_and_words_that_head_columns_are_explained():
    tags = read(PAGE).tags
    ids = {attrs["id"] for _, attrs in tags if "id" in attrs}
    hrefs = [attrs["href"] for tag, attrs in tags if tag == "a"]
    assert {h[1:] for h in hrefs if h and h.startswith("#")} <= ids
    assert "#word-low" in hrefs


def test_numbers_sort_as_numbers():
    numbers = [attrs.get("data-n") for tag, attrs in read(PAGE).tags if tag == "td"]
    assert numbers == [None, "0.25", None]
    assert [cell(v).text for v in (None, True, 3.0, "x")] == ["-", "yes", "3.0000", "x"]
    assert cell(1234, ",d") == Cell("1,234", 1234.0)
