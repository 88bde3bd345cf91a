"""The configuration, read from the TOML file, the environment and the command line.

The last source that has a setting wins: default, TOML file, environment, command line. Each source
is checked alone, so that an error names the source. The result is frozen and built once, at the
start. Besides `environment.py`, no other file reads the environment.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from appliance.config.origins import AllowedOrigin
from appliance.config.schema import Config, LogLevel, SecuritySettings
from appliance.config.validation import describe_validation_error
from appliance.errors import ConfigError

PREFIX = "APPLIANCE_"
SHORT_NAMES = {
    "SERVER_PORT": ("server", "port"),
    "ENABLE_AUTH": ("security", "enable_auth"),
    "API_KEY": ("security", "api_key"),
    "API_KEY_FILE": ("security", "api_key_file"),
    "DEFAULT_DEVICE": ("models", "default_device"),
}
"""Names that the environment may use beside `APPLIANCE_<SECTION>_<KEY>`, which win over them."""

_KUBERNETES = re.compile(r"APPLIANCE_(SERVICE_(HOST|PORT\w*)|PORT(_\d+_\w+)?)")
"""What Kubernetes puts into every container beside a service that is named `appliance`."""


_LEVELS = {"trace": "debug", "warn": "warning", "off": "error", "critical": "error"}
"""What other programs call the levels of the log."""


def load(
    file: Path | None = None,
    *,
    flags: Mapping[str, Mapping[str, object]] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The configuration, read from every source.

    Args:
        file: TOML; None: no file.
        flags: of the command line, as `{section: {key: value}}`; values may be text.
        environ: instead of the process's own environment.

    Raises:
        ConfigError: a key is unknown or a value is wrong. The message names the key, the source and
            what is allowed, in one line; `param` is the key, such as `server.port`.
    """
    merged: dict[str, dict[str, Any]] = {}
    sources: list[tuple[str, Mapping[str, Mapping[str, object]], bool]] = []
    if file is not None:
        sources.append((str(file), _read_toml(file), True))
    for variable, section, key, value in _read_environment(
        os.environ if environ is None else environ
    ):
        sources.append((f"environment variable {variable}", {section: {key: value}}, False))
    sources.append(("command line", flags or {}, False))
    for source, tables, strict in sources:
        _convert(tables, source, strict=strict)
        for section, table in tables.items():
            merged.setdefault(section, {}).update(table)
    # Text of environment and command line was checked above; here it takes its type.
    config = msgspec.convert(merged, Config, strict=False)
    _check_together(config)
    return config


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return _with_other_spellings(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error


def _with_other_spellings(tables: dict[str, Any]) -> dict[str, Any]:
    """What configuration files of the original service have otherwise, as it is here."""
    server, models, watched = (tables.get(name) for name in ("server", "models", "observability"))
    if isinstance(server, dict) and isinstance(level := server.get("log_level"), str):
        server["log_level"] = log_level(level) or level
    if isinstance(models, dict) and isinstance(names := models.get("models"), list):
        del models["models"]
        entries = [name if isinstance(name, dict) else {"id": name} for name in names]
        models["available_models"] = [*models.get("available_models", []), *entries]
    if isinstance(watched, dict) and watched.get("metrics_path") == "":
        del watched["metrics_path"]
    return tables


def log_level(words: str) -> str | None:
    """The log's level in `warn`, or in a filter such as `info,hyper=debug`; None: there is none."""
    for word in (part.strip().lower() for part in words.split(",")):
        level = _LEVELS.get(word, word)
        if level in get_args(LogLevel):
            return level
    return None


def _keys() -> Iterator[tuple[str, str, bool]]:
    """Every `section, key` that the environment can set, and whether it is a list of texts."""
    for section, table in get_type_hints(Config).items():
        for key, kind in get_type_hints(table).items():
            if key not in ("available_models", "aliases", "api_keys"):
                yield section, key, kind == tuple[str, ...]


def _read_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str, object]]:
    """`variable, section, key, value` of each setting, weaker names first; empty ones are unset."""
    lists = {(section, key) for section, key, listed in _keys() if listed}
    names = {f"{PREFIX}{section}_{key}".upper(): (section, key) for section, key, _ in _keys()}
    for variable in environ:
        if (
            variable.startswith(PREFIX)
            and variable not in names
            and not _KUBERNETES.fullmatch(variable)
        ):
            raise ConfigError(
                f"{variable}: there is no such setting (environment variable);"
                f" there are {', '.join(sorted(names))}",
                param=variable,
            )
    if level := log_level(environ.get("RUST_LOG", "")):
        yield "RUST_LOG", "server", "log_level", level
    for variable, (section, key) in (SHORT_NAMES | names).items():
        if value := environ.get(variable):
            if (section, key) == ("server", "log_level"):
                value = log_level(value) or value
            parts = [part.strip() for part in value.split(",") if part.strip()]
            yield variable, section, key, parts if (section, key) in lists else value


def _convert(tables: Mapping[str, object], source: str, *, strict: bool) -> Config:
    try:
        return msgspec.convert(tables, Config, strict=strict)
    except msgspec.ValidationError as error:
        raise describe_validation_error(str(error), source, Config) from error


def _check_together(config: Config) -> None:
    """What only the merged values can break."""
    engine = config.engine
    if engine.n_ubatch > engine.n_batch:
        raise ConfigError(
            f"engine.n_ubatch: {engine.n_ubatch} is more than engine.n_batch, {engine.n_batch}",
            param="engine.n_ubatch",
        )
    if engine.flash_attn == "off" and engine.type_v not in ("auto", "f16"):
        raise ConfigError(
            f"engine.type_v: {engine.type_v} needs flash attention, and engine.flash_attn is off",
            param="engine.type_v",
        )
    ids = [model.id for model in config.models.available_models]
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"models.available_models: two models have the id {twice!r}",
            param="models.available_models",
        )
    _check_security(config.security)


def _check_security(security: SecuritySettings) -> None:
    for origin in security.allowed_origins:
        if origin != "*" and not AllowedOrigin(origin).valid:
            raise ConfigError(
                'security.allowed_origins: needs origins such as "https://example.org", without a'
                ' path, of apps such as "app://*", of this machine such as "http://localhost:*",'
                f' or "*"; there is {origin!r}',
                param="security.allowed_origins",
            )
    for proxy in security.trusted_proxies:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            raise ConfigError(
                f"security.trusted_proxies: needs addresses and networks; there is {proxy!r}",
                param="security.trusted_proxies",
            ) from None
    if security.api_key and security.api_key_file:
        raise ConfigError(
            "security.api_key_file: there is an api_key as well, and only one of them counts",
            param="security.api_key_file",
        )
    names = [key.name for key in security.api_keys if key.name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"security.api_keys: two keys have the name {twice!r}", param="security.api_keys"
        )
