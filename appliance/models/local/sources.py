"""The folders that may hold GGUF files, of any program, scanned without touching them.

Folders are other programs' and other people's: links may lead nowhere or in circles, and there may
be a million files. A folder that is not there, or not ours to read, has nothing.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from appliance.models.gguf import shards
from appliance.models.local.ollama import NO_DEFAULTS, ModelDefaults, read_manifest

Owner = Literal["appliance", "bundled", "folder", "huggingface", "lmstudio", "ollama", "llama.cpp"]
"""`appliance`: our folder; `bundled`: it came with us; `folder`: one from the configuration."""

MAX_ENTRIES = 50_000
"""Files and folders that are looked at in one place."""
MAX_DEPTH = 8


class ModelSource(msgspec.Struct, frozen=True):
    """A folder, and the program that keeps it."""

    owner: Owner
    folder: Path


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A file that may be a model, or the first of its files."""

    owner: Owner
    name: str
    """What it is called there."""
    path: Path
    files: tuple[Path, ...]
    """All files of the model that are here; `path` is the first."""
    repo: str = ""
    """Where on the hub it came from, if the folders show it."""
    missing: int = 0
    """Files of the model that are not here."""
    defaults: ModelDefaults = NO_DEFAULTS


def candidates(place: ModelSource) -> Iterator[Candidate]:
    """What may be a model there, in a steady order."""
    if place.owner == "ollama":
        yield from _ollama(place)
        return
    begin = "models--" if place.owner == "huggingface" else ""
    for folder, files in _folders(place.folder, begin):
        names = {
            name for name in files if name.lower().endswith(".gguf") and not _is_projector(name)
        }
        for name in sorted(names):
            together = shards.parts(name)
            here = [part for part in together if part in names]
            if name != here[0]:
                continue
            yield Candidate(
                owner=place.owner,
                name=shards.stem(name),
                path=folder / here[0],
                files=tuple(folder / part for part in here),
                repo=_repo(place, folder),
                missing=len(together) - len(here),
            )


def candidate_at(path: Path, owner: Owner) -> Candidate:
    """A file that somebody names, whatever it is called, and the others of its model."""
    together = [path.with_name(name) for name in shards.parts(path.name)]
    here = [file for file in together if file.is_file()] or [path]
    return Candidate(
        owner=owner,
        name=shards.stem(path.name),
        path=path,
        files=tuple(here),
        missing=len(together) - len(here),
    )


def _is_projector(name: str) -> bool:
    """Whether it is a model's eyes or ears alone."""
    return "mmproj" in name.lower()


def _repo(place: ModelSource, folder: Path) -> str:
    steps = folder.relative_to(place.folder).parts
    if place.owner == "huggingface":
        kind, _, name = (steps[0] if steps else "").partition("--")
        return name.replace("--", "/", 1) if kind == "models" else ""
    if place.owner in ("appliance", "lmstudio") and len(steps) >= 2:
        return "/".join(steps[:2])
    return ""


def _folders(root: Path, begin: str = "") -> Iterator[tuple[Path, list[str]]]:
    """Every folder below, `root` first, with the names of its ordinary files. Links are followed;
    what begins with a dot or can't be printed is passed over. What is directly in `root` must
    begin with `begin`."""
    seen: set[tuple[int, int]] = set()
    waiting = [(root, 0)]
    left = MAX_ENTRIES
    while waiting and left > 0:
        folder, depth = waiting.pop()
        files: list[str] = []
        below: list[Path] = []
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                for entry in entries:
                    left -= 1
                    if left <= 0:
                        break
                    name = entry.name
                    if name.startswith(".") or not name.isprintable():
                        continue
                    if depth == 0 and not name.startswith(begin):
                        continue
                    if _is(entry, "file"):
                        files.append(name)
                    elif depth < MAX_DEPTH and _is(entry, "folder"):
                        below.append(folder / name)
        except (OSError, ValueError):
            continue
        yield folder, files
        waiting += [(path, depth + 1) for path in sorted(below, reverse=True)]


def _is(entry: "os.DirEntry[str]", kind: str) -> bool:
    """A link that leads nowhere, or in a circle, is neither."""
    try:
        return entry.is_file() if kind == "file" else entry.is_dir()
    except OSError:
        return False


def _ollama(place: ModelSource) -> Iterator[Candidate]:
    root = place.folder / "manifests"
    for folder, files in _folders(root):
        steps = folder.relative_to(root).parts
        if len(steps) < 2:
            continue
        for tag in sorted(files):
            read = read_manifest(place.folder, folder / tag)
            if read is None:
                continue
            blob, defaults = read
            # registry.ollama.ai/library/NAME/TAG is what everybody calls NAME:TAG.
            usual = steps[:-1] == ("registry.ollama.ai", "library")
            name = steps[-1] if usual else "/".join(steps[-2:])
            yield Candidate(
                owner="ollama", name=f"{name}:{tag}", path=blob, files=(blob,), defaults=defaults
            )
