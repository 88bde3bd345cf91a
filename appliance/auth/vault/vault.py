"""Where secrets are kept: the system's keyring, a file, plain or encrypted, or credentials.

The configuration says which. If that one cannot be used there is an error that says what to do, and
never another place instead. Only this file and `encrypted.py` know the keyring library.
"""

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from appliance.auth.vault import chunks, document
from appliance.auth.vault.file_lock import FileLock
from appliance.auth.vault.file_vaults import CredentialVault, FileVault
from appliance.errors import ConfigError, VaultUnavailable

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

VaultKind = Literal["keyring", "file", "encrypted", "credentials"]
T = TypeVar("T")


class Vault(Protocol):
    """Named values that are secret. Safe from any thread; every call ends within seconds.

    All but `stamp` raise VaultUnavailable when the place cannot be used, and Conflict when it
    cannot be written.
    """

    def get(self, name: str) -> bytes | None:
        """The value of `name`; None if there is none."""

    def set(self, name: str, value: bytes) -> None:
        """Gives `name` a value."""

    def delete(self, name: str) -> None:
        """Takes `name` out; it need not be there."""

    def change(self, name: str, make: Callable[[bytes | None], bytes | None]) -> None:
        """Replaces the value of `name` by what `make` makes of it, None for no value.

        Nothing else changes it meanwhile, in any process. `make` may run on another thread; what it
        raises comes out here, and nothing is changed.
        """

    def names(self) -> list[str]:
        """The names that have a value, sorted."""

    def stamp(self) -> object:
        """Something that is different after every change; cheap, for comparing with `==`."""


def open_vault(
    kind: VaultKind,
    *,
    file: Path | None = None,
    credentials: Path | None = None,
    service: str = "appliance",
    timeout: float = 4.0,
) -> Vault:
    """The vault that the configuration names; nothing is read yet.

    Args:
        kind: `keyring`, `file`, `encrypted` or `credentials`.
        file: of `file` and `encrypted`, the file itself; of `keyring`, the one whose name with
            `.lock` keeps the changes of two processes apart.
        credentials: the folder that the service manager filled.
        service: what the entry is called in the keyring.
        timeout: seconds that a call may take.

    Raises:
        ConfigError: what the kind needs was not given.
    """
    if kind == "credentials":
        if credentials is None:
            raise ConfigError(
                'security.vault: "credentials" needs a service manager that gives them, and'
                " CREDENTIALS_DIRECTORY is not set",
                param="security.vault",
            )
        return CredentialVault(credentials)
    if file is None:
        raise ConfigError(f'security.vault: "{kind}" needs a file', param="security.vault_file")
    if kind == "file":
        return FileVault(file, timeout=timeout)
    if kind == "encrypted":
        # A service that was given no credential has no folder of them either, and may start.
        folder = credentials or Path("/nonexistent")
        return KeyringVault(
            file.with_name(file.name + ".lock"),
            service=service,
            timeout=timeout,
            backend=lambda: _sealed(file, folder),
            entry_length=document.MAX_BYTES,
        )
    return KeyringVault(file.with_name(file.name + ".lock"), service=service, timeout=timeout)


# -- the system's keyring -------------------------------------------------------------------------

_UNSAFE = ("keyring.backends.fail", "keyring.backends.null", "keyring.backends.chainer", "keyrings")
"""Modules of backends that keep nothing, keep plain text, or ask on the standard input. The chainer
is a guess among others."""

_ENTRY_LENGTH = 1200 if sys.platform == "win32" else 64 * 1024
"""Characters of one entry; Windows takes 2560 bytes of UTF-16."""

_WHERE = "The entry of this program in the system's keyring"
_ELSEWHERE = 'or set security.vault to "file" or "credentials"'


class KeyringVault:
    """The keyring of this system: Secret Service, macOS's keychain, Windows's credentials.

    A keyring may wait for a person, or for ever: each call runs on a thread of its own, one at a
    time, and is given up after `timeout` seconds. Until it has ended nobody changes anything.
    """

    def __init__(
        self,
        lock: Path,
        *,
        service: str = "appliance",
        timeout: float = 4.0,
        backend: "Callable[[], KeyringBackend] | None" = None,
        entry_length: int = _ENTRY_LENGTH,
    ) -> None:
        """Nothing is read yet.

        Args:
            lock: the file that keeps the changes of two processes apart.
            service: what the entry is called in the keyring.
            timeout: seconds that a call may take.
            backend: makes another one than this system's own. The settings of the keyring library
                are not looked at: they belong to other programs.
            entry_length: characters that the keyring takes as one secret.
        """
        self._lock = FileLock(lock)
        self._service = service
        self._timeout = timeout
        self._backend = backend
        self._entry_length = entry_length
        self._free = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """The value of `name`; None if there is none.

        Raises:
            VaultUnavailable: there is no keyring, it is locked, too slow, unsafe or damaged.
        """
        return self._within(self._entries).get(document.check_name(name))

    def set(self, name: str, value: bytes) -> None:
        """Gives `name` a value. Raises as `change` does."""
        self.change(name, lambda _: value)

    def delete(self, name: str) -> None:
        """Takes `name` out; it need not be there. Raises as `change` does."""
        self.change(name, lambda _: None)

    def change(self, name: str, make: Callable[[bytes | None], bytes | None]) -> None:
        """Replaces the value of `name` by what `make`, on another thread, makes of it.

        Raises:
            VaultUnavailable: as `get`. If the keyring was too slow the change may have been made.
        """
        document.check_name(name)
        ends = time.monotonic() + self._timeout

        def job() -> None:
            # Somewhat less than the caller waits, who then gets the error of the lock.
            with self._lock.held(self._timeout * 0.75):
                entries = self._entries()
                value = make(entries.pop(name, None))
                if value is not None:
                    entries[name] = value
                # Later, the caller has got an error already.
                if time.monotonic() < ends:
                    self._write(document.encode(entries))

        self._within(job)

    def names(self) -> list[str]:
        """The names that have a value, sorted. Raises as `get` does."""
        return sorted(self._within(self._entries))

    def stamp(self) -> object:
        """Something that is different after every change by this program; reads no keyring."""
        return self._lock.mark()

    def _entries(self) -> dict[str, bytes]:
        return document.decode(chunks.read(_Keyring(self._backend, self._service)), _WHERE)

    def _write(self, text: bytes) -> None:
        try:
            chunks.write(_Keyring(self._backend, self._service), text, self._entry_length)
        finally:  # also a write that failed may have changed something
            self._lock.leave_mark()

    def _within(self, job: Callable[[], T]) -> T:
        """What `job` gives, on a thread of its own that does not keep the process from ending."""
        ends = time.monotonic() + self._timeout
        if not self._free.acquire(timeout=self._timeout):
            raise self._too_slow()
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                result = job()
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                outcome.set_exception(error)
            else:
                outcome.set_result(result)
            finally:
                self._free.release()

        threading.Thread(target=run, name="keyring", daemon=True).start()
        try:
            return outcome.result(max(0.0, ends - time.monotonic()))
        except TimeoutError:
            raise self._too_slow() from None

    def _too_slow(self) -> VaultUnavailable:
        return VaultUnavailable(
            f"The keyring of this system has not answered for {self._timeout:g} seconds; it may be"
            f" waiting for somebody to unlock it. Do that and try again, {_ELSEWHERE}."
        )


class _Keyring:
    """A backend that is safe, for one service, and whose errors are ours."""

    def __init__(self, backend: "Callable[[], KeyringBackend] | None", service: str) -> None:
        self._service = service
        self._backend = _ask(lambda: backend() if backend else _native()())
        origins = [f"{kind.__module__}." for kind in type(self._backend).__mro__]
        if any(origin.startswith(f"{unsafe}.") for origin in origins for unsafe in _UNSAFE):
            raise VaultUnavailable(
                f"{type(self._backend).__module__} does not keep secrets safe. Use this system's"
                f" own keyring, {_ELSEWHERE}."
            )

    def get(self, name: str) -> str | None:
        found: object = _ask(lambda: self._backend.get_password(self._service, name))
        if found is None or isinstance(found, str):
            return found
        raise VaultUnavailable(f"{_WHERE} is not text. Delete it to begin without keys.")

    def put(self, name: str, text: str) -> None:
        _ask(lambda: self._backend.set_password(self._service, name, text))

    def drop(self, name: str) -> None:
        # A piece that stays is overwritten by a later document.
        with suppress(VaultUnavailable):
            _ask(lambda: self._backend.delete_password(self._service, name))


def _sealed(file: Path, credentials: Path) -> "KeyringBackend":
    from appliance.auth.vault.encrypted import EncryptedFileKeyring

    return EncryptedFileKeyring(file, credentials)


def _native() -> "Callable[[], KeyringBackend]":
    """What makes the backend of this system's own keyring."""
    if sys.platform == "darwin":
        from keyring.backends.macOS import Keyring

        return Keyring
    if sys.platform == "win32":
        from keyring.backends.Windows import WinVaultKeyring

        return WinVaultKeyring
    from keyring.backends.SecretService import Keyring

    return Keyring


def _ask(call: Callable[[], T]) -> T:
    """What the backend answers, or its error in our words: its own may hold what was to be kept."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - backends raise what they like
        explained = _explained(error)
    # Outside `except`, so that no traceback shows the backend's own.
    raise explained


def _explained(error: Exception) -> VaultUnavailable:
    if isinstance(error, VaultUnavailable):  # of our own backend, which says what to do
        return error
    try:
        from keyring.errors import InitError, KeyringLocked, NoKeyringError
    except ImportError:
        return VaultUnavailable(f"The keyring library is not installed. Install it, {_ELSEWHERE}.")
    if isinstance(error, KeyringLocked):
        return VaultUnavailable(
            f"The keyring of this system is locked. Unlock it and try again, {_ELSEWHERE}."
        )
    kind = type(error).__name__
    # The Secret Service's backend lets errors of its own library and of the bus through, and ends
    # in a NameError where that library is missing.
    unreachable = isinstance(error, InitError | NoKeyringError | OSError | NameError)
    if unreachable or kind == "SecretServiceNotAvailableException":
        return VaultUnavailable(
            "No keyring answers on this system, as is usual where nobody is logged in to a desktop"
            f" ({kind}). Start one such as gnome-keyring, {_ELSEWHERE}."
        )
    return VaultUnavailable(
        f"The keyring of this system failed ({kind}). See that it works for other programs,"
        f" {_ELSEWHERE}."
    )
