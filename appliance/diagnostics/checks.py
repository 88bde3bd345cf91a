"""The checks of `appliance doctor` beyond models: service, port, window, page, database.

All is checked from outside, also while a service runs. Findings are ready for JSON; what is wrong
has an `error`.
"""

import base64
import contextlib
import os
import socket
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from appliance.client import discovery
from appliance.client.http import Client
from appliance.config import paths
from appliance.config.schema import Config
from appliance.desktop import webview_backends
from appliance.desktop.window_state import FILE, load_state
from appliance.errors import StoreError
from appliance.store.copies.backup import read_back
from appliance.system.ports import holder_of
from appliance.system.units import format_bytes

ANSWER_SECONDS = 5.0
MOST_READ = 1_000_000
"""Bytes of an answer."""
FLEETING = {
    "tmpfs": "; this folder is in memory, and gone at the next start of the machine",
    "ramfs": "; this folder is in memory, and gone at the next start of the machine",
    "overlay": "; this folder is a container's own, and gone with it",
}
"""Kinds of file system on which chats do not last."""


def run_checks(config: Config) -> dict[str, Any]:
    """Run all checks."""
    service = discovery.find_service(paths.data_dir(config))
    return {
        "service": _service(service),
        "taken": _memory(service),
        "port": _port(config, service),
        "window": _window(config),
        "page": _page(config),
        "database": _database(config),
        "expiry": _expiry(config, service),
    }


def _service(service: discovery.RunningService | None) -> dict[str, Any]:
    if service is None:
        return {"running": False}
    return {
        "running": True,
        "url": service.url,
        "pid": service.pid,
        "version": service.version,
        **_readiness(service),
        "websocket": _websocket(service),
    }


def _expiry(config: Config, service: discovery.RunningService | None) -> dict[str, Any]:
    """Whether chats expire, and whether somebody has agreed, which the service knows."""
    ttl_seconds = config.limits.session_ttl_seconds
    found: dict[str, Any] = {"ttl_seconds": ttl_seconds, "confirmed": None}
    if ttl_seconds and service is not None:
        try:
            answer = msgspec.json.decode(_answer(service, "/api/status")[1])
            found["confirmed"] = answer["storage"]["expiry"]["confirmed"]
        except (msgspec.DecodeError, LookupError, TypeError):
            pass
    return found


def _memory(service: discovery.RunningService | None) -> dict[str, Any]:
    """What the models take that a service has loaded, by id."""
    if service is None:
        return {}
    try:
        answer = msgspec.json.decode(_answer(service, "/api/status")[1])
        return {model["id"]: model["memory"] for model in answer["figures"]["memory"]["models"]}
    except (msgspec.DecodeError, LookupError, TypeError):
        return {}


def _readiness(service: discovery.RunningService) -> dict[str, Any]:
    """The state of the service's default model."""
    status, body = _answer(service, "/readiness")
    try:
        answer = msgspec.json.decode(body, type=_Health)
    except msgspec.DecodeError:
        return {"http": status, "state": ""}
    default = answer.models[0] if answer.models else _ModelState()
    return {
        "http": status,
        "state": answer.status,
        "progress": default.progress,
        "detail": default.detail or "",
    }


class _ModelState(msgspec.Struct, frozen=True):
    progress: float = 0.0
    detail: str | None = None


class _Health(msgspec.Struct, frozen=True):
    """As much as matters of what `/readiness` answers with."""

    status: str
    models: list[_ModelState] = []


def _answer(
    service: discovery.RunningService, path: str, headers: Mapping[str, str] | None = None
) -> tuple[str, bytes]:
    """The status that it answers with, or why there is none; and the body."""
    client = Client(service.url, service.token, timeout=ANSWER_SECONDS)
    try:
        answer = client.request("GET", path, headers=headers, limit=MOST_READ)
    except OSError as ex:
        return f"no answer: {ex}", b""
    return str(answer.status), answer.content


def _websocket(service: discovery.RunningService) -> str:
    """The status that a handshake is answered with: 101 where it works."""
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    return _answer(service, "/chat/ws?session_id=doctor", handshake)[0]


def _port(config: Config, service: discovery.RunningService | None) -> dict[str, Any]:
    port = config.server.port
    found: dict[str, Any] = {"host": config.server.host, "port": port, "free": True}
    if port == 0 or not _taken(port):
        return found
    holder = holder_of(port) or "a program of somebody else's"
    found |= {"free": False, "holder": holder}
    if service is None or urllib.parse.urlsplit(service.url).port != port:
        found["error"] = f"port {port} is in use by {holder}: choose another with server.port"
    return found


def _taken(port: int) -> bool:
    for host in ("127.0.0.1", "::1"):
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
            return True
    return False


def _window(config: Config) -> dict[str, Any]:
    found = webview_backends.installed()
    state = load_state(paths.data_dir(config) / FILE)
    return {"engines": found, "last": state.backend}


def _page(config: Config) -> dict[str, Any]:
    index = paths.ui_dir(config) / "index.html"
    if index.is_file():
        return {"folder": str(index.parent)}
    if config.server.ui_dir:
        return {"error": f"server.ui_dir: there is no {index}"}
    return {"error": "the page was not built: make ui/dist/index.html"}


def _database(config: Config) -> dict[str, Any]:
    file = paths.database_file(config)
    found: dict[str, Any] = {"file": str(file), "disk": _disk(file.parent)}
    if not file.exists():
        return found | {"chats": 0}
    try:
        return found | {"bytes": file.stat().st_size, "chats": read_back(file).get("sessions", 0)}
    except (StoreError, OSError) as ex:
        return found | {"error": str(ex)}


def _disk(folder: Path) -> str:
    """The kind of file system, such as `ext4`; empty where the system does not say."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    places = {Path(place): kind for _, place, kind, *_ in map(str.split, mounts)}
    return next((places[it] for it in (folder, *folder.parents) if it in places), "")


def lines(found: dict[str, Any]) -> list[str]:
    """The findings of `run_checks`, for people."""
    return [
        _service_line(found["service"]),
        _port_line(found["port"]),
        _window_line(found["window"]),
        f"page {found['page'].get('error') or found['page']['folder']}",
        _database_line(found["database"]),
        *_expiry_lines(found["expiry"]),
    ]


def _service_line(service: dict[str, Any]) -> str:
    if not service["running"]:
        return "service not running"
    ready = service["state"] or service["http"]
    if ready == "loading":
        ready += f" its model, {service['progress']:.0%}"
    elif service["state"] and service["detail"]:
        ready += f": {service['detail']}"
    socket = "works" if service["websocket"] == "101" else f"fails ({service['websocket']})"
    return (
        f"service {service['version']} at {service['url']}, process {service['pid']}: {ready}; "
        f"WebSocket {socket}"
    )


def _port_line(port: dict[str, Any]) -> str:
    return port.get("error") or f"port {port['port']} " + (
        "free" if port["free"] else f"held by {port['holder']}, this appliance"
    )


def _window_line(window: dict[str, Any]) -> str:
    if not window["engines"]:
        return "window none: neither GTK with WebKit2 nor Qt is here; the page opens in the browser"
    last = f"; last shown by {window['last']}" if window["last"] else ""
    return f"window by {' or '.join(window['engines'])}{last}"


def _expiry_lines(expiry: dict[str, Any]) -> list[str]:
    if not expiry["ttl_seconds"]:
        return []
    after = f"chats expire after {expiry['ttl_seconds']:g} s without activity"
    if expiry["confirmed"]:
        return [f"{after} (limits.session_ttl_seconds, confirmed)"]
    until = "not confirmed, so none does" if expiry["confirmed"] is False else "once confirmed"
    return [f"{after} (limits.session_ttl_seconds): {until}; the page asks"]


def _database_line(database: dict[str, Any]) -> str:
    if "error" in database:
        return f"database {database['error']}"
    size = f", {format_bytes(database['bytes'], 'MB')}, undamaged" if "bytes" in database else ""
    end = FLEETING.get(database["disk"], "")
    return f"database {database['file']}: {database['chats']} chats{size}{end}"
