"""Host × Origin × method × route, on every kind of address, with and without keys.

The expected results are derived from the lists alone, not from the code under test.
"""

from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from falcon.testing import Result

from appliance.api.middleware.auth import ADMIN
from appliance.errors import NotAllowed
from appliance.http.errors import status_of
from tests.api.guarded import PORT, REACHED, Guarded

LISTED = "https://app.example"
APPS = ("app://obsidian.md", "vscode-webview://*", "https://localhost:*")
"""Also listed: an app, all apps of a scheme, every port of this machine."""
LOCALS = ["127.0.0.1", "::1", "::ffff:192.168.7.20", "192.168.7.20", "fe80::1", "2001:db8::5"]
"""Local addresses that a connection arrives at, also when listening on all addresses."""


class Host(NamedTuple):
    text: str | None
    good: bool


class Origin(NamedTuple):
    text: str | None
    kind: str
    """`none`, `own`, `listed` or `foreign`."""
    site: str | None = None
    mode: str | None = None


def hosts(local: str) -> list[Host]:
    literal = local.removeprefix("::ffff:")
    literal = f"[{literal}]" if ":" in literal else literal
    loopback = local in ("127.0.0.1", "::1")
    return [
        Host(f"{literal}:{PORT}", True),
        *(Host(f"{name}:{PORT}", loopback) for name in ("localhost", "127.0.0.1", "[::1]")),
        Host(f"LOCALHOST:{PORT}", loopback),
        Host(f"box.lan:{PORT}", True),
        Host("box.lan", True),
        Host("Proxy.Example:8443", True),
        *(
            Host(text, False)
            for text in (
                *(None, "", literal, f"{literal}:{PORT + 1}", f"{literal}:{PORT}0", "localhost"),
                *(f"localhost.:{PORT}", f"localhost.evil.example:{PORT}", f"xlocalhost:{PORT}"),
                *(f"evil.example:{PORT}", f"127.0.0.1.evil.example:{PORT}", f"a.localhost:{PORT}"),
                *(f"0.0.0.0:{PORT}", f"[::]:{PORT}", f"0:{PORT}", f"127.1:{PORT}", "box.lan:80"),
                *(f"2130706433:{PORT}", f"0x7f000001:{PORT}", f"127.0.0.2:{PORT}", "proxy.example"),
                *(f"[::ffff:127.0.0.1]:{PORT}", f"box.lan.evil.example:{PORT}", f"xbox.lan:{PORT}"),
                *(
                    f"user@{literal}:{PORT}",
                    f"{literal}:{PORT}, {literal}:{PORT}",
                    f"10.0.0.1:{PORT}",
                ),
                *(f"{literal}:{PORT}/", f"{literal}:{PORT}#", f"http://{literal}:{PORT}"),
            )
        ),
    ]


def origins(host: str | None) -> list[Origin]:
    own = (host or "").lower()
    return [
        Origin(None, "none"),
        Origin(None, "none", "none", "navigate"),
        Origin(None, "none", "same-origin", "cors"),
        Origin(None, "none", "cross-site", "navigate"),
        Origin(f"http://{own}", "own", "same-origin", "cors"),
        Origin(f"https://{own}", "own"),
        Origin(LISTED, "listed", "cross-site", "cors"),
        Origin(LISTED.upper(), "listed"),
        *(
            Origin(text, "listed", "cross-site", "cors")
            for text in ("app://obsidian.md", "vscode-webview://0a1b-2c", "https://localhost:5174")
        ),
        Origin(None, "foreign", "cross-site", "no-cors"),
        Origin(None, "foreign", "same-site", "no-cors"),
        Origin(None, "foreign", "cross-site", "websocket"),
        *(
            Origin(text, "foreign")
            for text in (
                *("http://evil.example", "null", "", "file://", "http://localhost.evil:1", "*"),
                *("app://other", "vscode-webview://", "vscode-webview://*", "xvscode-webview://a"),
                *("http://localhost:5174", "https://localhost:5174/", "https://localhost:evil.ex"),
                *(f"http://{own}.evil.example", f"http://{own}0", f"http://x{own}", own),
                *(f"http://{own}/", f"ftp://{own}", f"{LISTED}.evil.example", f"{LISTED}:444"),
                *("http://app.example", "https://evil.example/https://app.example", f"{LISTED}/"),
            )
        ),
    ]


class Mode(NamedTuple):
    """The appliance's configuration, and the credentials sent to it."""

    auth: bool
    origins: tuple[str, ...] = (LISTED, *APPS)
    key: bool = False
    cookie: bool = False


MODES = {
    "no keys": Mode(auth=False),
    "a key": Mode(auth=True, key=True),
    "a cookie": Mode(auth=True, cookie=True),
    "nothing shown": Mode(auth=True),
    "any origin, a key": Mode(auth=True, origins=("*",), key=True),
    "any origin, a cookie": Mode(auth=True, origins=("*",), cookie=True),
    "any origin, nothing shown": Mode(auth=True, origins=("*",)),
    "any origin, no keys": Mode(auth=False, origins=("*",)),
}


def expected(mode: Mode, host: Host, origin: Origin, open_to_all: bool, method: str = "GET") -> int:
    """The expected status, derived from what the settings promise."""
    if not host.good:
        return 421
    if origin.mode == "navigate" and origin.site != "none" and method not in ("GET", "HEAD"):
        return 403  # another page may link here, but its forms may send nothing
    stranger = origin.text is not None and origin.kind in ("listed", "foreign")
    if "*" in mode.origins:
        # Any origin, with a key; other pages' images and scripts send none, and are refused.
        if origin.kind == "foreign" and not stranger:
            return 403
        if stranger and not (mode.auth and mode.key):
            return 403
    elif origin.kind == "foreign":
        return 403
    let_in = not mode.auth or mode.key or (mode.cookie and not stranger)
    return REACHED if let_in or open_to_all else 401


def set_up(mode: Mode, folder: Path) -> tuple[Guarded, dict[str, str]]:
    """An app in that mode, and the headers with its credentials."""
    guarded = Guarded(
        folder,
        auth=mode.auth,
        origins=mode.origins,
        hosts=("box.lan", "Proxy.example:8443"),
        host="0.0.0.0",
        insecure_lan=not mode.auth,
    )
    shown = {}
    if mode.key:
        shown["authorization"] = f"Bearer {guarded.keys.create('k', 'admin').secret}"
    if mode.cookie:
        shown["cookie"] = f"appliance_{PORT}={guarded.logins.log_in('page')}"
    return guarded, shown


def headers_of(host: Host, origin: Origin) -> dict[str, Any]:
    return {
        "host": host.text,
        "origin": origin.text,
        "sec_fetch_site": origin.site,
        "sec_fetch_mode": origin.mode,
    }


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_every_host_and_origin_on_every_address(mode: Mode, tmp_path: Path) -> None:
    guarded, shown = set_up(mode, tmp_path)
    count = 0
    for local in LOCALS:
        for host in hosts(local):
            for origin in origins(host.text):
                # Without HTTP: as the server checks before a body, and as a route is guarded.
                named = {k.upper(): v for k, v in headers_of(host, origin).items() if v is not None}
                environ = {
                    "appliance.local": (local, PORT),
                    "REMOTE_ADDR": "127.0.0.1",
                    "REQUEST_METHOD": "GET",
                    "SERVER_PROTOCOL": "HTTP/1.1",
                    **{f"HTTP_{name}": value for name, value in named.items()},
                    **{f"HTTP_{name.upper()}": value for name, value in shown.items()},
                }
                wanted = expected(mode, host, origin, open_to_all=False)
                assert verdict(guarded, environ) == wanted, (local, host, origin)
                early = guarded.guard.refused("GET", named, (local, PORT))
                # Only the check of the key comes later.
                if wanted == 421 or (wanted == 403 and (not mode.auth or "*" not in mode.origins)):
                    assert early is not None and status_of(early) == wanted
                elif wanted == REACHED:
                    assert early is None
                count += 1
    assert count > 5000


def verdict(guarded: Guarded, environ: dict[str, Any]) -> int:
    try:
        guarded.guard(environ, ADMIN)
    except NotAllowed as error:
        return status_of(error)
    return REACHED


FEW_HOSTS = [0, 5, 8, 20, 21]
FEW_ORIGINS = [0, 3, 4, 6, 8, 11, 12, 17]


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_every_route_and_method(mode: Mode, tmp_path: Path) -> None:
    guarded, shown = set_up(mode, tmp_path)
    local = "192.168.7.20"
    few = [hosts(local)[i] for i in FEW_HOSTS]
    assert {host.good for host in few} == {True, False}
    for (method, path, rule), host in product(list(guarded.routes()), few):
        for origin in [origins(host.text)[i] for i in FEW_ORIGINS]:
            asked = {**headers_of(host, origin), **shown}
            response = guarded.ask(method, path, local=local, **asked)
            wanted = expected(mode, host, origin, rule.scope is None, method)
            assert response.status_code == wanted, (method, path, host, origin)
            check_sharing(response, origin, mode)
            if method == "GET":
                socket = {"upgrade": "websocket", "connection": "Upgrade"}
                opening = guarded.ask(method, path, local=local, **asked, **socket)
                assert opening.status_code == wanted, (path, host, origin)


def check_sharing(response: Result, origin: Origin, mode: Mode) -> None:
    """The CORS headers, which decide whether a browser lets the page read the response."""
    assert "Access-Control-Allow-Credentials" not in response.headers
    shared = response.headers.get("Access-Control-Allow-Origin")
    if response.status_code == 421 or origin.kind in ("none", "own"):
        assert shared is None
    elif "*" in mode.origins:
        assert shared in ("*", None)
    elif origin.kind == "listed":
        assert (shared, response.headers["Vary"]) == (origin.text, "Origin")
        readable = response.headers["Access-Control-Expose-Headers"]
        assert {"Retry-After", "X-RateLimit-Reset", "X-Appliance-Warning"} <= {
            *readable.split(", ")
        }
    else:
        assert shared is None


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_preflights(mode: Mode, tmp_path: Path) -> None:
    guarded, _ = set_up(mode, tmp_path)
    local = "127.0.0.1"
    few = [hosts(local)[i] for i in (0, 1, 8, 9)]
    for path in {path for _, path, _ in guarded.routes()}:
        for host, origin in ((h, o) for h in few for o in origins(h.text)):
            response = guarded.ask(
                "OPTIONS",
                path,
                local=local,
                **headers_of(host, origin),
                access_control_request_method="POST",
                access_control_request_headers="authorization, x-stainless-os, evil\r\nx: y",
            )
            asks = origin.text is not None and origin.kind in ("listed", "foreign")
            shares = origin.kind == "listed" if "*" not in mode.origins else mode.auth
            if not (host.good and asks and shares):
                assert "Access-Control-Allow-Methods" not in response.headers
                continue
            assert response.status_code == 204
            assert "POST" in response.headers["Access-Control-Allow-Methods"]
            named = response.headers["Access-Control-Allow-Headers"]
            assert named == "authorization, x-stainless-os"
            check_sharing(response, origin, mode)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "a/json"])
def test_json_under_another_name_is_refused_everywhere(kind: str, tmp_path: Path) -> None:
    """Programs may send another content type on Ollama's routes and for files; pages may not."""
    guarded, _ = set_up(MODES["no keys"], tmp_path)
    own = f"http://127.0.0.1:{PORT}"
    lenient = set()
    for method, path, rule in guarded.routes():
        response = guarded.ask(method, path, body="{}", content_type=kind)
        assert response.status_code == (REACHED if rule.any_type else 415), (method, path)
        if rule.any_type:
            lenient.add(path)
        for page in (own, LISTED):
            response = guarded.ask(method, path, body="{}", content_type=kind, origin=page)
            wanted = (415, 403) if page == LISTED else (415,)
            assert response.status_code in wanted, (method, path, page)
        link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}
        response = guarded.ask(method, path, body="{}", content_type=kind, **link)
        assert response.status_code == 403, (method, path)
        response = guarded.ask(method, path, body="{}", content_type="application/json; charset=x")
        assert response.status_code == REACHED, (method, path)
    verbs = ("show", "chat", "generate", "embed", "embeddings", "pull", "delete")
    ollama = {f"/api/{verb}" for verb in (*verbs, "copy", "create", "push")}
    assert lenient == {*ollama, "/v1/files"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("box.lan:8080", REACHED),
        ("localhost", REACHED),
        ("203.0.113.9:443", REACHED),
        ("[2001:db8::1]:3000", REACHED),
        ("", 421),
        ("user@box.lan", 421),
        ("box.lan/path", 421),
        ("box.lan, other.lan", 421),
    ],
)
def test_any_host_is_one_that_keys_are_asked_for_on(host: str, status: int, tmp_path: Path) -> None:
    """As in a container, which cannot know its outside address."""
    guarded = Guarded(tmp_path, auth=True, hosts=("*",), host="0.0.0.0")
    key = guarded.keys.create("k", "admin").secret
    shown = {"host": host, "authorization": f"Bearer {key}"}
    assert guarded.ask("GET", "/v1/models", **shown).status_code == status
    page = {"origin": "https://evil.example", "sec_fetch_site": "cross-site"}
    assert guarded.ask("GET", "/v1/models", **shown, **page).status_code == max(status, 403)

    (tmp_path / "open").mkdir()
    open_to_all = Guarded(
        tmp_path / "open", auth=False, hosts=("*",), host="0.0.0.0", insecure_lan=True
    )
    assert open_to_all.ask("GET", "/v1/models", host=host).status_code == 421
