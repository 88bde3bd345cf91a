"""A keyring of our own for a service, which nobody's login unlocks: a file under a master key.

The file is one AES-256-GCM message, made anew with every change. The master key is a credential
that systemd decrypts for the service alone and shows it in `$CREDENTIALS_DIRECTORY`.
"""

import os
import stat
import sys
from pathlib import Path

import msgspec
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from appliance.auth.vault import document, private_file
from appliance.errors import ConfigError, VaultUnavailable

MASTER = "appliance.master"
"""The name of the credential."""

_MASTER_BYTES = 32
_MAGIC = b"appliance vault 1\n"
"""How the file begins; it is authenticated as well."""
_NONCE_BYTES = 12
_LONGEST = 2 * document.MAX_BYTES
_HOW = (
    f"Make one as root (head -c {_MASTER_BYTES} /dev/urandom | systemd-creds encrypt"
    f" --name={MASTER} - /etc/credstore.encrypted/{MASTER}) and restart the service"
)


class EncryptedFileKeyring(KeyringBackend):
    """Passwords by service and user in an encrypted file of mode 0600.

    Reading is safe at any time; of those that write, somebody else keeps all but one away.
    """

    priority = 1.0

    def __init__(self, path: Path, credentials: Path) -> None:
        """`credentials`: the folder with the master key. Nothing is read yet.

        Raises:
            ConfigError: this system cannot say who may read a file.
        """
        # Not the base's own: it would let the environment set what this object is.
        if sys.platform == "win32":
            raise ConfigError(
                'security.vault: "encrypted" is for services of systemd; "keyring" is there on'
                " this system",
                param="security.vault",
            )
        self._path = path
        self._master = credentials / MASTER

    def get_password(self, service: str, username: str) -> str | None:
        """The password; None if there is none. Raises VaultUnavailable."""
        return self._read().get(_name(service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Raises VaultUnavailable; then all is as it was."""
        entries = self._read()
        entries[_name(service, username)] = password
        self._write(entries)

    def delete_password(self, service: str, username: str) -> None:
        """Raises PasswordDeleteError if there is none, or VaultUnavailable."""
        entries = self._read()
        if entries.pop(_name(service, username), None) is None:
            raise PasswordDeleteError("there is no such password")
        self._write(entries)

    def _read(self) -> dict[str, str]:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        content = private_file.read(self._path, _LONGEST)
        if content is None:  # no keys yet, and none are needed to say so
            return {}
        key = self._key()
        start = len(_MAGIC)
        nonce, sealed = content[start:][:_NONCE_BYTES], content[start + _NONCE_BYTES :]
        try:
            if len(content) <= _LONGEST and content.startswith(_MAGIC) and len(nonce) >= 8:
                text = AESGCM(key).decrypt(nonce, sealed, _MAGIC)
                return msgspec.json.decode(text, type=dict[str, str])
        except (InvalidTag, msgspec.DecodeError):
            pass
        raise VaultUnavailable(
            f"{self._path} does not open with the service's master key: it is damaged, or belongs"
            " to another key or machine. It was left as it is: restore it and the key from a"
            " backup, or delete it to begin without keys."
        )

    def _write(self, entries: dict[str, str]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        # With 96 random bits for each change none is ever met twice under one key.
        nonce = os.urandom(_NONCE_BYTES)
        text = msgspec.json.encode(entries)
        sealed = AESGCM(self._key()).encrypt(nonce, text, _MAGIC)
        private_file.write(self._path, _MAGIC + nonce + sealed)

    def _key(self) -> bytes:
        try:
            with open(self._master, "rb") as stream:
                # As with other credentials: an access list shows as rights of the group.
                if os.fstat(stream.fileno()).st_mode & stat.S_IROTH:
                    raise VaultUnavailable(
                        f"Every user of this machine can read {self._master}, the service's master"
                        " key. Make another one, and new keys."
                    )
                key = stream.read(_MASTER_BYTES + 1)
        except FileNotFoundError as error:
            raise VaultUnavailable(
                f"The service has no master key, so it can keep no others safe. {_HOW}."
            ) from error
        except OSError as error:
            raise VaultUnavailable(
                f"{self._master}, the service's master key, cannot be read: {error.strerror}."
            ) from error
        if len(key) != _MASTER_BYTES:
            raise VaultUnavailable(
                f"The service's master key has not {_MASTER_BYTES} bytes. {_HOW}."
            )
        return key


def _name(service: str, username: str) -> str:
    return f"{service}/{username}"
