"""The stored results of verifying the variants.

One file for a processor and its microcode, and a build of llama.cpp: whatever of it changes, all is
tried again.
"""

import logging
from pathlib import Path

import msgspec

from appliance.system import hardware, llama_libraries
from appliance.system.files import replace_file
from appliance.tuning.variants.protocol import Need, VariantVerdict

log = logging.getLogger(__name__)

Kept = dict[str, list[VariantVerdict]]
"""By `Need.key`."""


def kept(folder: Path) -> Kept:
    """All that is known here; nothing at any doubt."""
    file = _file(folder)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Kept)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as ex:
        log.warning("what is known of llama.cpp's variants is not used: %s", ex)
        return {}


def keep(folder: Path, need: Need, verdicts: list[VariantVerdict]) -> None:
    """Store the verdicts of a trial, all or nothing; a failure to store them is logged."""
    file = _file(folder)
    text = msgspec.json.format(msgspec.json.encode({**kept(folder), need.key: verdicts}), indent=2)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(file, text)
    except OSError as ex:
        log.warning("what is known of llama.cpp's variants cannot be kept: %s", ex)


def _file(folder: Path) -> Path:
    return folder / f"{hardware.processor_kind()}-{llama_libraries.digest()}.json"
