"""The text of a page: headings, lists, tables and code as Markdown writes them, and no markup."""

import re
from html.parser import HTMLParser

_HIDDEN = {"script", "style", "template", "head", "noscript", "svg", "iframe", "object"}
_BLOCKS = {
    *("p", "div", "section", "article", "main", "header", "footer", "nav", "aside", "form"),
    *("ul", "ol", "dl", "dt", "dd", "table", "blockquote", "figure", "figcaption", "hr", "address"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "pre", "fieldset", "details", "summary"),
}
_VOID = {
    *("br", "hr", "img", "input", "meta", "link", "wbr", "col", "source", "area", "base"),
    "embed",
}
_SPACES = re.compile(r"[ \t\r\n\f]+")
_MANY_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")


def html_text(source: str) -> str:
    """The text of a page or a part of one."""
    reader = _Reader()
    reader.feed(source)
    reader.close()
    return _MANY_LINES.sub("\n\n", "".join(reader.pieces)).strip()


class _Reader(HTMLParser):
    """Never nests calls, however deep the page is nested."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden: list[str] = []
        """Open elements whose text is not shown, the outermost first."""
        self._literal = 0
        """Open elements whose spaces count."""
        self._lists: list[int | None] = []
        """The number of the last item of each open list; None: it has none."""
        self._cells = 0
        """Of the row so far."""
        self._rows = 0
        """Of the table so far."""
        self._fresh = True
        """At the beginning of a line."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        if self._hidden or tag in _HIDDEN:
            if tag == "body":  # the end of a head may be left out
                self._hidden.clear()
            elif tag not in _VOID:
                self._hidden.append(tag)
            return
        if tag == "br":
            self._put("\n")
        elif tag in ("td", "th"):
            self._put(" | " if self._cells else "| ")
            self._cells += 1
        elif tag == "tr":
            self._end_row()
            self._line()
        elif tag == "li":
            self._item()
        elif tag in _BLOCKS and not self._cells:
            self._begin_block(tag)
        elif tag == "img":
            self._put(dict(attrs).get("alt") or "")

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        if self._hidden:
            if tag in self._hidden:
                while self._hidden.pop() != tag:
                    pass
            return
        if tag == "tr":
            self._end_row()
        elif tag in ("td", "th", "li"):
            pass
        elif tag in _BLOCKS:
            self._end_block(tag)

    def handle_data(self, data: str) -> None:
        """Some text."""
        if self._hidden:
            return
        if self._literal and not self._cells:
            self._put(data)
            return
        text = _SPACES.sub(" ", data)
        self._put(text.lstrip(" ") if self._fresh else text)

    def _begin_block(self, tag: str) -> None:
        self._line()
        if tag not in ("ul", "ol", "dt", "dd") or not self._lists:
            self._put("\n")
        if tag in ("ul", "ol"):
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "table":
            self._rows = 0
        elif tag == "pre":
            self._put("```\n")
            self._literal += 1
        elif tag == "hr":
            self._put("---\n")
        elif tag[0] == "h" and tag[1:].isdecimal():
            self._put("#" * int(tag[1:]) + " ")
            self._fresh = True

    def _end_block(self, tag: str) -> None:
        if tag == "table":
            self._end_row()
        if self._cells:  # inside a cell, all is one line
            return
        self._line()
        if tag == "pre" and self._literal:
            self._literal -= 1
            self._put("```\n")
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        if not self._lists:
            self._put("\n")

    def _item(self) -> None:
        self._line()
        depth, mark = max(0, len(self._lists) - 1), "-"
        if self._lists and (number := self._lists[-1]) is not None:
            self._lists[-1] = number + 1
            mark = f"{number + 1}."
        self._put("  " * depth + mark + " ")
        self._fresh = True

    def _end_row(self) -> None:
        if self._cells:
            cells, self._cells = self._cells, 0
            self._put(" |\n")
            self._rows += 1
            if self._rows == 1:
                self._put("|" + " --- |" * cells + "\n")

    def _line(self) -> None:
        if self.pieces and not self.pieces[-1].endswith("\n"):
            self._put("\n")

    def _put(self, text: str) -> None:
        if text:
            if self._cells:
                text = text.replace("\n", " ") if text != " |\n" else text
            self.pieces.append(text)
            self._fresh = text.endswith("\n")
