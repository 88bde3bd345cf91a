"""Access as configured: built here for the service and for the commands."""

import ipaddress
import logging
import socket
from contextlib import suppress
from pathlib import Path

import msgspec

from appliance.auth.authenticator import Authenticator
from appliance.auth.keys.registry import Keys
from appliance.auth.login_sessions import LoginSessions
from appliance.auth.origin_policy import ANY, OriginPolicy
from appliance.auth.rate_limiter import RatePolicy
from appliance.auth.vault.vault import open_vault
from appliance.config import paths
from appliance.config.environment import variable
from appliance.config.schema import Config
from appliance.errors import ConfigError, RequestError

log = logging.getLogger(__name__)

MAX_KEY_FILE = 4096
"""Characters."""


def open_keys(config: Config) -> Keys:
    """The keys of the configured vault and of the configuration; a keyring is not read yet.

    Raises:
        ConfigError: they cannot be had like this; `param` names the key.
        VaultUnavailable: what the service manager gives cannot be read.
    """
    security = config.security
    named = security.vault_file
    usual = "keys.vault" if security.vault == "encrypted" else "keys.json"
    file = Path(named).expanduser() if named else paths.data_dir(config) / usual
    given = variable("CREDENTIALS_DIRECTORY")
    vault = open_vault(security.vault, file=file, credentials=Path(given) if given else None)
    keys = Keys(vault)
    try:
        for number, key in enumerate(security.api_keys, 1):
            keys.allow_plain(
                key.key,
                key.name or f"key {number}",
                key.scope,
                rpm=key.rate_limit_per_minute or None,
                enabled=key.enabled,
            )
        if one := security.api_key or _key_of(security.api_key_file):
            keys.allow_plain(one, "API_KEY", "admin")
        if security.vault == "credentials":
            keys.allow_credentials()
    except RequestError as error:
        raise ConfigError(f"security.api_keys: {error}", param="security.api_keys") from error
    return keys


def _key_of(file: str) -> str:
    """The key in a file; empty if no file is named."""
    if not file:
        return ""
    where = f"security.api_key_file: {file}"
    try:
        with open(Path(file).expanduser(), encoding="ascii") as stream:
            key = stream.read(MAX_KEY_FILE + 1).strip()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not plain text"
    else:
        if 0 < len(key) <= MAX_KEY_FILE:
            return key
        problem = "is too long for a key" if key else "is empty"
    raise ConfigError(f"{where} {problem}", param="security.api_key_file")


def logins_file(config: Config) -> Path:
    """Where it is kept who is logged in."""
    return paths.data_dir(config) / "logins.json"


class AccessControl(msgspec.Struct, frozen=True):
    """What decides about access to the service."""

    auth: bool
    """Everybody shows a key."""
    keys: Keys
    logins: LoginSessions
    origins: OriginPolicy
    authenticator: Authenticator
    rates: RatePolicy


def build(config: Config) -> AccessControl:
    """Read the keys, if they are required, and watch them for changes until they are closed.

    Raises:
        ConfigError: everyone could use it, or no one.
        VaultUnavailable: the keys cannot be read.
    """
    security = config.security
    keys = open_keys(config)
    local = _is_local(config.server.host)
    auth = security.enable_auth or not (local or security.insecure_lan)
    if auth:
        keys.start(must_read=False)
        if not local and not keys.any_usable():
            raise ConfigError(
                f"{config.server.host} can be reached by others, and nobody has a key. Make one:"
                " appliance keys create NAME, or give one in API_KEY or API_KEY_FILE. Or let in"
                " everybody who asks: --insecure-lan",
                param="security",
            )
    _warn(config, local=local, auth=auth)
    origins = OriginPolicy(
        host=config.server.host,
        allowed_hosts=security.allowed_hosts,
        allowed_origins=security.allowed_origins,
        auth=auth,
    )
    logins = LoginSessions(logins_file(config) if auth else None)
    authenticator = Authenticator(
        keys,
        logins,
        auth=auth,
        insecure_lan=security.insecure_lan,
        trusted_proxies=security.trusted_proxies,
    )
    rates = RatePolicy(config.limits.default_rate_limit_per_minute)
    return AccessControl(auth, keys, logins, origins, authenticator, rates)


def _warn(config: Config, *, local: bool, auth: bool) -> None:
    if config.security.api_keys:
        log.warning("the configuration has keys as plain text; `appliance keys import` moves them")
    if not auth and not local:
        log.warning("everybody who reaches this machine can use its models: no key is asked for")
    if not auth and not local and ANY in config.security.allowed_hosts:
        log.warning('security.allowed_hosts: "*" means nothing while no keys are asked for')
    if not auth and ANY in config.security.allowed_origins:
        log.warning('security.allowed_origins: "*" lets no page in while no keys are asked for')


def _is_local(host: str) -> bool:
    """Whether only this machine can reach a service that listens on `host`."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(a[4][0]).partition("%")[0]).is_loopback for a in found)
