"""Entries of `security.allowed_origins`: an origin, or a pattern that stands for several."""

import re

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@*]+")
_APPS = re.compile(
    r"(?!(?:https?|wss?|ftp|file|data|blob|about|javascript):)([a-z][a-z0-9+.-]*)://\*"
)
"""Every origin of a scheme that desktop apps have, and web pages can't."""
_THIS_MACHINE = re.compile(r"(https?://(?:localhost|127\.0\.0\.1|\[::1\])):\*")
"""Every port of this machine."""


class AllowedOrigin:
    """One entry."""

    def __init__(self, text: str) -> None:
        self._text = text.lower()
        self._pattern: re.Pattern[str] | None = None
        if app := _APPS.fullmatch(self._text):
            self._pattern = re.compile(re.escape(app[1]) + r"://[a-z0-9_.:-]+")
        elif here := _THIS_MACHINE.fullmatch(self._text):
            self._pattern = re.compile(re.escape(here[1]) + r"(:[0-9]{1,5})?")

    @property
    def valid(self) -> bool:
        """It may be in the list."""
        return self._pattern is not None or bool(_ORIGIN.fullmatch(self._text))

    def matches(self, origin: str) -> bool:
        """Whether it stands for an origin, in small letters."""
        return bool(self._pattern.fullmatch(origin)) if self._pattern else origin == self._text
