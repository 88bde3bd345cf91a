"""Another built page instead of the appliance's: what its Content-Security-Policy has to allow."""

import base64
import hashlib
import logging
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

from appliance.config import paths
from appliance.config.schema import Config

log = logging.getLogger(__name__)

_ORIGIN = r"(https?://[^/\"')?#\s]+)"
_IMPORTED = re.compile(rf"@import\s*(?:url\(\s*)?[\"']?{_ORIGIN}")
_FONT = re.compile(rf"@font-face[^}}]*?url\(\s*[\"']?{_ORIGIN}")
_SOURCES = {"script": "script-src", "link": "style-src", "img": "img-src", "iframe": "frame-src"}


class _Needs(HTMLParser):
    """Collects what a document loads besides the files beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, set[str]] = {}
        self._inline: str | None = None
        """The directive of the text that is being read."""
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get("src") or given.get("href") or ""
        origin = urlsplit(address)
        if tag in _SOURCES and origin.netloc:
            self.add(_SOURCES[tag], f"{origin.scheme or 'https'}://{origin.netloc}")
        if (tag == "script" and not given.get("src")) or tag == "style":
            self._inline, self._text = f"{tag}-src", ""
        if any(name.startswith("on") for name in given):
            self.add("script-src", "'unsafe-inline'")
        if "style" in given:
            self.add("style-src", "'unsafe-inline'")

    def handle_data(self, data: str) -> None:
        if self._inline:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if self._inline and tag in ("script", "style") and self._text.strip():
            digest = base64.b64encode(hashlib.sha256(self._text.encode()).digest()).decode()
            self.add(self._inline, f"'sha256-{digest}'")
        self._inline = None

    def add(self, directive: str, source: str) -> None:
        self.found.setdefault(directive, set()).add(source)


def needs(document: str, styles: Iterable[str] = ()) -> str:
    """The policy's directives that a page needs beyond the appliance's own; empty: none. What its
    scripts load is not seen, nor what comes from other servers loads there.

    Args:
        document: its `index.html`.
        styles: its style sheets.
    """
    parser = _Needs()
    parser.feed(document)
    parser.close()
    for style in styles:
        for origin in _IMPORTED.findall(style):
            parser.add("style-src", origin)
        for origin in _FONT.findall(style):
            parser.add("font-src", origin)
    return "; ".join(
        f"{directive} 'self' {' '.join(sorted(sources))}"
        for directive, sources in sorted(parser.found.items())
    )


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def report(config: Config) -> None:
    """Log, at the start, which page is served and what it may lack."""
    if not config.server.ui_dir:
        return
    folder = paths.ui_dir(config)
    try:
        document = _text(folder / "index.html")
        styles = [_text(file) for file in sorted(folder.rglob("*.css"))]
    except OSError as ex:
        log.error("server.ui_dir: %s has no index.html: %s", folder, ex.strerror)
        return
    log.info("the page in %s is served instead of the appliance's own", folder)
    wanted = needs(document, styles)
    if wanted and not config.server.ui_csp:
        log.warning(
            "the page in %s has parts that browsers refuse under the appliance's"
            " Content-Security-Policy. If you trust it, set server.ui_csp, for example to"
            " \"default-src 'self'; %s\"",
            folder,
            wanted,
        )
