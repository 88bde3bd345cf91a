"""Which text can be stored, and the title of a chat after its first message."""

import textwrap

from appliance.errors import RequestError

TITLE_LENGTH = 60
"""Characters at most of a title taken from a message."""

_FENCES = ("```", "~~~")


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
    """The first line that says something, without its Markdown, cut at a word where it has several.

    No model is needed: a title is there at once, in the person's own words, and costs no time that
    another caller's reply would need.
    """
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    texts = (line.lstrip("#>*+-`~ \t") for line in lines if not line.startswith(_FENCES))
    line = next(filter(None, texts), lines[0] if lines else "")
    # Shortening looks at all of a text, and a line can be a whole book.
    return textwrap.shorten(line[:1000], TITLE_LENGTH, placeholder="") or line[:TITLE_LENGTH]
