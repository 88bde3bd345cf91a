"""A file that its owner alone can read, replaced as a whole and written through to the disk.

What others could read or change is refused rather than mended: they may have done it already.
"""

import os
import stat
from pathlib import Path

from appliance.errors import VaultUnavailable
from appliance.system.files import NO_LINK, replace_file

_GROUP_AND_OTHERS = 0o077
_WRITABLE_BY_OTHERS = 0o022


def check_folder(path: Path) -> None:
    """Check the folder: anyone who may write to it could replace the file `path`.

    Raises:
        VaultUnavailable: others may write to it, or this is unknown.
    """
    folder = path.parent
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        raise VaultUnavailable(
            f"{folder}, the folder of the keys, cannot be looked at: {error.strerror}."
        ) from error
    if mode & _WRITABLE_BY_OTHERS and not mode & stat.S_ISVTX:
        raise VaultUnavailable(
            f"Others can change {folder}, the folder of the keys, so they could give themselves"
            f" keys. Close it: chmod go-w {folder}"
        )


def read(path: Path, longest: int) -> bytes | None:
    """What the file holds, one byte more than `longest` at most; None if there is none.

    Raises:
        VaultUnavailable: it cannot be read, or others can read or change it too.
    """
    check_folder(path)
    try:
        file = os.open(path, os.O_RDONLY | NO_LINK | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if path.is_symlink():
            raise VaultUnavailable(
                f"{path} is a link to somewhere else. Name the file itself in security.vault_file."
            ) from error
        raise VaultUnavailable(
            f"{path}, the file of the keys, cannot be read: {error.strerror}."
        ) from error
    try:
        _check_file(path, os.fstat(file))
        with open(file, "rb", closefd=False) as stream:
            return stream.read(longest + 1)
    except OSError as error:
        raise VaultUnavailable(
            f"{path}, the file of the keys, cannot be read: {error.strerror}."
        ) from error
    finally:
        os.close(file)


def write(path: Path, content: bytes) -> None:
    """Replaces the file; only one at a time may.

    Raises:
        VaultUnavailable: it cannot be written, and is as it was.
    """
    try:
        # One name for all processes, so that nothing of a killed one stays.
        replace_file(path, content, durable=True, partial=path.with_name(path.name + ".part"))
    except OSError as error:
        raise VaultUnavailable(
            f"{path}, the file of the keys, cannot be written: {error.strerror}."
        ) from error


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise VaultUnavailable(f"{path}, the file of the keys, is not a plain file.")
    if found.st_uid != os.geteuid():
        raise VaultUnavailable(
            f"{path} belongs to another user (number {found.st_uid}). Run this as that user."
        )
    if found.st_mode & _GROUP_AND_OTHERS:
        raise VaultUnavailable(
            f"Others can read {path}, so its keys may be known. Close it (chmod 600 {path}), and"
            " make new keys if strangers use this machine."
        )
