"""`appliance keys`: who may use the appliance where keys are required.

A running service applies changes within a second; it need not run.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli import options
from appliance.config import terminal
from appliance.errors import Conflict, NotFound

if TYPE_CHECKING:
    from appliance.auth.keys.records import Key
    from appliance.auth.keys.registry import Keys

_SPAN = re.compile(r"(\d{1,5})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


@click.group()
@options.config_file
def keys(config_file: Path | None) -> None:
    """Create, list and revoke API keys."""


@keys.command()
@click.argument("name")
@click.option("--scope", type=click.Choice(["chat", "manage", "admin"]), default="chat")
@click.option("--rpm", type=int, metavar="NUMBER", help="Requests a minute.")
@click.option("--expires", metavar="WHEN", help="After 90d, 12h or 30m, or on 2030-12-31.")
@options.config_file
@options.as_json
def create(
    name: str,
    scope: str,
    rpm: int | None,
    expires: str | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Create a key. It is shown once."""
    ends = _when(expires) if expires else None
    made = _keys(config_file).create(name, scope, rpm=rpm, expires_at=ends)
    if as_json:
        options.print_json({**_as_json(made.key), "key": made.secret})
        return
    options.say(made.secret)
    options.say(f"This is the key {made.key.name}. Keep it now: nobody can see it again.", err=True)


@keys.command("list")
@options.config_file
@options.as_json
def list_(config_file: Path | None, as_json: bool) -> None:
    """List all keys, without their secrets."""
    found = [_as_json(key) for key in _keys(config_file).listed()]
    if as_json:
        options.print_json({"keys": found})
        return
    for key in terminal.all_lines(found):
        limit = f"{key['rpm']} a minute" if key["rpm"] else ""
        ends = f"until {_date(key['expires_at'])}" if key["expires_at"] else ""
        state = "" if key["enabled"] else "disabled"
        details = [key["scope"], limit, ends, state, f"from the {key['source']}"]
        options.say(f"{key['id']}  {key['name']}  {', '.join(filter(None, details))}")


@keys.command()
@click.argument("key")
@options.config_file
@options.as_json
def revoke(key: str, config_file: Path | None, as_json: bool) -> None:
    """Revoke a key for good, by its id or its name."""
    opened = _keys(config_file)
    found = [it for it in opened.listed() if key in (it.id, it.name)]
    if not found:
        raise NotFound(f"There is no key with the id or the name {key}.")
    if len(found) > 1:
        raise Conflict(f"Several keys are called {key}; say the id of one of them.")
    opened.revoke(found[0].id)
    if as_json:
        options.print_json({"revoked": found[0].id})


@keys.command()
@options.config_file
@options.as_json
def logout(config_file: Path | None, as_json: bool) -> None:
    """Log all browsers out; their keys stay good."""
    from appliance.client.http import connect
    from appliance.service import auth

    config = options.configuration(config_file)
    client = connect(config)
    if client:
        client.call("DELETE", "/api/logins")
    else:
        auth.logins_file(config).unlink(missing_ok=True)
    if as_json:
        options.print_json({"logged_out": True})
    else:
        options.say("All browsers have to log in again.")


@keys.command("import")
@options.config_file
@options.as_json
def import_(config_file: Path | None, as_json: bool) -> None:
    """Move the keys in the configuration file to the vault."""
    from appliance.cli import config_file as editor

    config = options.configuration(config_file)
    opened = _keys(config_file)
    moved = [
        opened.import_plain(
            key.key,
            key.name or f"key {number}",
            key.scope,
            rpm=key.rate_limit_per_minute or None,
            enabled=key.enabled,
        )
        for number, key in enumerate(config.security.api_keys, 1)
    ]
    file = options.file_of(config_file)
    if moved and file is not None:
        editor.remove_keys(file)
    if as_json:
        options.print_json({"keys": [_as_json(key) for key in moved]})
    else:
        options.say(f"{len(moved)} keys were moved to the vault.")


def _keys(config_file: Path | None) -> "Keys":
    from appliance.service import auth

    return auth.open_keys(options.configuration(config_file))


def _as_json(key: "Key") -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(key)


def _when(text: str) -> int:
    """Unix milliseconds; the end of a day that was named."""
    if span := _SPAN.fullmatch(text):
        moment = datetime.now(UTC) + timedelta(**{_UNITS[span[2]]: int(span[1])})
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise click.BadParameter(
                "needs 90d, 12h, 30m or 2030-12-31", param_hint="--expires"
            ) from None
        if len(text) <= len("2030-12-31"):
            moment += timedelta(days=1)
        moment = moment.astimezone() if moment.tzinfo is None else moment
    return int(moment.timestamp() * 1000)


def _date(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
