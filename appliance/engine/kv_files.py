"""Names of the files of saved KV states, and their removal.

A folder for each model and build, and in it a file for each state: `<session>-<pid>-<number>.kv`.
"""

import contextlib
import hashlib
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

SUFFIX = ".kv"
READING = f".reading{SUFFIX}"
"""The suffix of a file while it is read; a leftover one may have crashed its reader."""
_SESSION = re.compile("[0-9a-f]{32}")


def opaque(name: str) -> str:
    """What stands for a session or an owner in files, and in their names: clients choose them, so
    not the names themselves."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def saved_files(root: Path) -> Iterator[Path]:
    """The files of all models."""
    return root.glob(f"*/*{SUFFIX}")


def forget_session(root: Path, session: str) -> None:
    """Delete a session's files of all models, also those of models that are not loaded."""
    name = opaque(session)
    for file in saved_files(root):
        if file.name.startswith(name + "-"):
            unlink(file)


def forget_stateless(root: Path) -> None:
    """Delete the files of prompts that belong to no session, which earlier versions kept."""
    for file in root.glob("*/none-*"):
        unlink(file)


def keep_sessions(root: Path, sessions: Collection[str]) -> None:
    """Delete the files of sessions that are gone: of one whose end a crash cut short."""
    known = {opaque(session) for session in sessions}
    for file in saved_files(root):
        name, _, rest = file.name.partition("-")
        if rest and _SESSION.fullmatch(name) and name not in known:
            unlink(file)


def forget_variant(root: Path, variant: str) -> None:
    """Remove what was computed by a variant of llama.cpp, of all models; the runners' fingerprints
    begin with its name."""
    for states in root.glob(f"{variant}-*"):
        shutil.rmtree(states, ignore_errors=True)


def unlink(file: Path) -> None:
    """Delete a file, if that can be done."""
    with contextlib.suppress(OSError):
        file.unlink()
