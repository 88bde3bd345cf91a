"""Another built page instead of the appliance's: what its Content-Security-Policy has to allow."""

import base64
import hashlib
import logging
from html.parser import HTMLParser
from urllib.parse import urlsplit

from appliance.config import paths
from appliance.config.schema import Config

log = logging.getLogger(__name__)

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
            self._add(_SOURCES[tag], f"{origin.scheme or 'https'}://{origin.netloc}")
        if (tag == "script" and not given.get("src")) or tag == "style":
            self._inline, self._text = f"{tag}-src", ""
        if any(name.startswith("on") for name in given):
            self._add("script-src", "'unsafe-inline'")
        if "style" in given:
            self._add("style-src", "'unsafe-inline'")

    def handle_data(self, data: str) -> None:
        if self._inline:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if self._inline and tag in ("script", "style") and self._text.strip():
            digest = base64.b64encode(hashlib.sha256(self._text.encode()).digest()).decode()
            self._add(self._inline, f"'sha256-{digest}'")
        self._inline = None

    def _add(self, directive: str, source: str) -> None:
        self.found.setdefault(directive, set()).add(source)


def needs(document: str) -> str:
    """The policy's directives that a page's document needs beyond the appliance's own; empty: none.
    What its scripts load is not seen."""
    parser = _Needs()
    parser.feed(document)
    parser.close()
    return "; ".join(
        f"{directive} 'self' {' '.join(sorted(sources))}"
        for directive, sources in sorted(parser.found.items())
    )


def report(config: Config) -> None:
    """Log, at the start, which page is served and what it may lack."""
    if not config.server.ui_dir:
        return
    folder = paths.ui_dir(config)
    try:
        document = (folder / "index.html").read_text(encoding="utf-8", errors="replace")
    except OSError as ex:
        log.error("server.ui_dir: %s has no index.html: %s", folder, ex.strerror)
        return
    log.info("the page in %s is served instead of the appliance's own", folder)
    wanted = needs(document)
    if wanted and not config.server.ui_csp:
        log.warning(
            "the page in %s has parts that browsers refuse under the appliance's"
            " Content-Security-Policy. If you trust it, set server.ui_csp, for example to"
            " \"default-src 'self'; %s\"",
            folder,
            wanted,
        )
