"""A model that is spread over several files, as `gguf-split` names them."""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from appliance.errors import BadModelFile
from appliance.models.gguf.header import GgufHeader, read_header
from appliance.models.gguf.purpose import part_of_another, why_not_run

_SPLIT = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
MAX_PARTS = 999


def stem(name: str) -> str:
    """A file's name without what says that it is a GGUF, or a part of one."""
    found = _SPLIT.fullmatch(name)
    return found["stem"] if found else name[:-5] if name.lower().endswith(".gguf") else name


def number(name: str) -> int:
    """Which part of its model a file is, from 1; 0: the whole of it."""
    found = _SPLIT.fullmatch(name)
    return int(found["number"]) if found else 0


def parts(name: str) -> list[str]:
    """The names of all files of the model that the file `name` belongs to, itself among them."""
    found = _SPLIT.fullmatch(name)
    if not found or not 1 <= int(found["count"]) <= MAX_PARTS:
        return [name]
    rest = name[len(found["stem"]) + 6 :]
    return [f"{found['stem']}-{i:05}{rest}" for i in range(1, int(found["count"]) + 1)]


Stamp = tuple[tuple[int, int, int], ...]
"""Size, time of change and inode of each file."""


def stamp(files: Sequence[Path]) -> Stamp | None:
    """What shows whether files are still the same; None: one is gone."""
    try:
        found = [file.stat() for file in files]
    except OSError:
        return None
    return tuple((one.st_size, one.st_mtime_ns, one.st_ino) for one in found)


def read_model(path: Path) -> GgufHeader:
    """The header of a model that can be run, see `read_whole`.

    Raises:
        BadModelFile: a file is missing or not one that llama.cpp can read, or run as a model.
    """
    header = read_whole(path)
    why = part_of_another(header) or why_not_run(header)
    if why:
        raise BadModelFile(f"{path.name}: {why}")
    return header


def read_whole(path: Path) -> GgufHeader:
    """The header of a model, whose other files stand beside the first, `path`, with the tensors of
    all of them; `file_size` is the whole size. See `read_header`. It is read again when a file has
    changed.

    Raises:
        BadModelFile: a file is missing or not one that llama.cpp can read.
    """
    return _read(path, stamp([path.with_name(name) for name in parts(path.name)]))


@lru_cache(maxsize=4)  # a load looks at the header several times
def _read(path: Path, _: Stamp | None) -> GgufHeader:
    header = read_header(path)
    if header.split_count <= 1:
        return header
    names = parts(path.name)
    if header.split_no or len(names) != header.split_count or number(path.name) != 1:
        raise BadModelFile(
            f"{path.name}: part {header.split_no + 1} of {header.split_count} of a model, and not"
            " named as the first of them"
        )
    rest = [read_header(path.with_name(name)) for name in names[1:]]
    if any(one.split_count != header.split_count for one in rest):
        raise BadModelFile(f"{path.name}: the files beside it are of another model")
    tensors = [*header.tensors, *(tensor for one in rest for tensor in one.tensors)]
    return msgspec.structs.replace(
        header,
        tensors=tuple(tensors),
        file_size=header.file_size + sum(one.file_size for one in rest),
    )
