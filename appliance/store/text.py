"""Which text can be stored, and what a chat is called after its first message."""

import textwrap

from appliance.errors import RequestError

TITLE_LENGTH = 60
"""Characters at most of a title taken from a message."""


def check_text(text: str, field: str) -> None:
    """Python and JSON can hold half a surrogate pair, UTF-8 and so SQLite cannot.

    Raises:
        RequestError: there is one; `field` is its param.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            f"Character {error.start + 1} of {field} is half of a surrogate pair.", param=field
        ) from error


def encodable(text: str) -> str:
    """The same text, with what `check_text` refuses written out as `\\udc80`."""
    return text.encode("utf-8", "backslashreplace").decode()


def title_from(content: str) -> str:
    """The first line that says something, cut at a word where it has several."""
    line = next((line.strip() for line in content.splitlines() if line.strip()), "")
    # Shortening looks at all of a text, and a line can be a whole book.
    return textwrap.shorten(line[:1000], TITLE_LENGTH, placeholder="") or line[:TITLE_LENGTH]
