"""Vaults that are files: one that its owner alone can read, and systemd's credentials.

Safe from any thread and any number of processes. What others could read is refused rather than
mended: they may have read it already.
"""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from appliance.auth.vault import document, private_file
from appliance.auth.vault.file_lock import FileLock
from appliance.errors import ConfigError, Conflict, VaultUnavailable


class FileVault:
    """One JSON file of mode 0600, replaced as a whole and written through to the disk."""

    def __init__(self, path: Path, *, timeout: float = 4.0) -> None:
        """`timeout`: seconds that a change waits for a change of another process.

        Raises:
            ConfigError: this system cannot say who may read a file.
        """
        if sys.platform == "win32":
            raise ConfigError(
                'security.vault: "file" needs a system with owners and modes of files;'
                ' "keyring" is there on this one',
                param="security.vault",
            )
        self._path = path
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._timeout = timeout

    def get(self, name: str) -> bytes | None:
        """The value of `name`; None if there is none.

        Raises:
            VaultUnavailable: the file cannot be read, others can read it too, or it is damaged.
        """
        return self._read().get(document.check_name(name))

    def set(self, name: str, value: bytes) -> None:
        """Gives `name` a value. Raises as `change` does."""
        self.change(name, lambda _: value)

    def delete(self, name: str) -> None:
        """Takes `name` out; it need not be there. Raises as `change` does."""
        self.change(name, lambda _: None)

    def change(self, name: str, make: Callable[[bytes | None], bytes | None]) -> None:
        """Replaces the value of `name` by what `make` makes of it, None for no value.

        Nothing else changes it meanwhile, in this process or another.

        Raises:
            VaultUnavailable: as `get`, or the file cannot be written; then all is as it was.
        """
        document.check_name(name)
        private_file.check_folder(self._path)
        with self._lock.held(self._timeout):
            entries = self._read()
            value = make(entries.pop(name, None))
            if value is not None:
                entries[name] = value
            self._write(document.encode(entries))

    def names(self) -> list[str]:
        """The names that have a value, sorted. Raises as `get` does."""
        return sorted(self._read())

    def stamp(self) -> object:
        """A stamp that differs after every change by any process; costs one `stat`."""
        try:
            found = self._path.lstat()
        except OSError as error:
            return error.errno
        return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def _read(self) -> dict[str, bytes]:
        content = private_file.read(self._path, document.MAX_BYTES)
        return {} if content is None else document.decode(content, str(self._path))

    def _write(self, text: bytes) -> None:
        if len(text) > document.MAX_BYTES:
            raise VaultUnavailable(f"{self._path} would be longer than it may be.")
        private_file.write(self._path, text)


class CredentialVault:
    """A folder with one file for each entry, provided from outside; it cannot be written.

    Such as systemd's `$CREDENTIALS_DIRECTORY`: of its files, those that begin with a prefix, as in
    `LoadCredentialEncrypted=appliance.chat-key.office`.
    """

    def __init__(self, folder: Path, *, prefix: str = "appliance.") -> None:
        self._folder = folder
        self._prefix = prefix

    def get(self, name: str) -> bytes | None:
        """The value of `name`; None if there is none.

        Raises:
            VaultUnavailable: the folder or the file cannot be read, or every user can read it.
        """
        path = self._folder / (self._prefix + document.check_name(name))
        self._check_folder()
        try:
            with open(path, "rb") as stream:
                # Systemd may let the service in by an access list, which shows as rights of the
                # group; what all others may do is never set then.
                if os.fstat(stream.fileno()).st_mode & stat.S_IROTH:
                    raise VaultUnavailable(
                        f"Every user of this machine can read {path}. Close it: chmod o= {path}"
                    )
                value = stream.read(document.MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise VaultUnavailable(f"{path} cannot be read: {error.strerror}.") from error
        if len(value) > document.MAX_BYTES:
            raise VaultUnavailable(f"{path} is too long for a key.")
        return value

    def set(self, name: str, value: bytes) -> None:
        """Refused. Raises as `change` does."""
        self.change(name, lambda _: value)

    def delete(self, name: str) -> None:
        """Refused. Raises as `change` does."""
        self.change(name, lambda _: None)

    def change(
        self,
        name: str,  # noqa: ARG002 - every vault has this method
        make: Callable[[bytes | None], bytes | None],  # noqa: ARG002
    ) -> None:
        """Refused.

        Raises:
            Conflict: always; the message says where to change it instead.
        """
        raise Conflict(
            f"The keys come from {self._folder}, which this program only reads. Change the"
            " service's credentials and restart it, or set security.vault to another kind."
        )

    def names(self) -> list[str]:
        """The names that have a value, sorted. Raises as `get` does."""
        self._check_folder()
        found = [file.name.removeprefix(self._prefix) for file in self._files()]
        return sorted(name for name in found if _is_name(name))

    def stamp(self) -> object:
        """Something that is different after a change; the folder is the same while we run."""
        try:
            found = self._folder.stat()
        except OSError as error:
            return error.errno
        return (found.st_ino, found.st_mtime_ns)

    def _files(self) -> list[Path]:
        try:
            return [f for f in self._folder.iterdir() if f.name.startswith(self._prefix)]
        except OSError as error:
            raise VaultUnavailable(f"{self._folder} cannot be read: {error.strerror}.") from error

    def _check_folder(self) -> None:
        if not self._folder.is_dir():
            raise VaultUnavailable(
                f"{self._folder}, the folder of the service's credentials, is not there. Give the"
                " unit a LoadCredential= line, or set security.vault to another kind."
            )


def _is_name(name: str) -> bool:
    try:
        document.check_name(name)
    except ValueError:
        return False
    return True
