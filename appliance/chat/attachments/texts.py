"""Texts of any encoding."""

import codecs
import re

from appliance.chat.attachments.kinds import WrongKind

_SAMPLE = 256 * 1024
"""Bytes by which an encoding is guessed."""
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_MOST_CONTROL = 0.01
"""The part of a text that may be control characters."""
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]{1,40})", re.I)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, *, is_html: bool = False) -> str:
    """The text of a file, with `\\n` at the ends of its lines.

    Args:
        data: the file.
        is_html: it may name its encoding.

    Raises:
        WrongKind: it is no text.
    """
    text = _decoded(data, is_html).removeprefix("\ufeff")
    head = text[:_SAMPLE]
    if len(_CONTROL.findall(head)) > _MOST_CONTROL * len(head):
        raise WrongKind("neither text nor a document that can be read here")
    # No character that can't be stored, and none that ends a text for others.
    text = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes, is_html: bool) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    sample = data[: _SAMPLE & ~3]  # whole characters of UTF-16
    if b"\0" in sample and (wide := _wide(sample)):
        return data.decode(wide, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if is_html and (named := _META.search(data[:_SAMPLE])):
        try:
            return data.decode(named.group(1).decode("ascii"), "replace")
        except (LookupError, UnicodeError):
            pass
    return data.decode(_guessed(data), "replace")


def _guessed(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE]).best()
    if best is None:
        raise WrongKind("neither text nor a document that can be read here")
    return best.encoding


def _wide(sample: bytes) -> str | None:
    """UTF-16 without a mark, of a writing whose characters mostly have a zero byte."""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) < len(sample) // 5 or min(even, odd) > len(sample) // 50:
        return None
    return "utf-16-be" if even > odd else "utf-16-le"
