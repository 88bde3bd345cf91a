"""All entries of a vault as one JSON document, which is what both vaults that can be written keep.

One document is replaced as a whole, so a change is there or it isn't, whatever dies in between.
"""

import re
from typing import Literal

import msgspec

from appliance.errors import VaultUnavailable

MAX_BYTES = 4 * 1024 * 1024
"""Maximum size of a document; a larger one is not ours."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    entries: dict[str, bytes]
    """Names and values, which stand in the JSON as Base64."""


def check_name(name: str) -> str:
    """`name`, which is also good as a file's name.

    Raises:
        ValueError: it is longer than 128 characters or has others than letters, digits and `._-`.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("the name of a vault's entry has letters, digits and ._- only")
    return name


def encode(entries: dict[str, bytes]) -> bytes:
    """The document of these entries."""
    return msgspec.json.encode(_Document(1, entries))


def decode(text: bytes | None, where: str) -> dict[str, bytes]:
    """The entries of a document; none if there is no document yet.

    Raises:
        VaultUnavailable: it is damaged. `where` says for a person what it was read from; nothing
            of what stands there is repeated.
    """
    if text is None:
        return {}
    try:
        if len(text) <= MAX_BYTES:
            return dict(msgspec.json.decode(text, type=_Document).entries)
    except msgspec.DecodeError:
        pass
    # Outside `except`: what the decoder says may quote the document.
    raise VaultUnavailable(
        f"{where} holds something that is no list of keys of this program. It was left as it is:"
        " restore it from a backup, or delete it to begin without keys."
    )
