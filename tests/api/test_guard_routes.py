"""Every route declares who may call it and refuses everyone else, however a key is sent."""

import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import falcon
import falcon.inspect
import pytest

from appliance.api.middleware.auth import ADMIN, OPEN, Rule
from tests.api.guarded import PORT, REACHED, Guarded

COOKIE = f"appliance_{PORT}"


def undeclared(guarded: Guarded) -> list[str]:
    """Routes of the table without a rule."""
    rules = guarded.guard.rules
    return [
        f"{method} {route.path}"
        for route in guarded.app.routes
        for method in route.own
        if not isinstance(rule := rules.get(route.path, {}), Rule) and method not in rule
    ]


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path, auth=True)


def test_every_route_declares_its_rule(guarded: Guarded) -> None:
    assert len(guarded.app.routes) > 20
    assert undeclared(guarded) == []


def test_falcon_knows_no_route_beside_the_table(guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    app = Guarded(tmp_path, auth=True).app
    table = {route.path for route in app.routes}
    assert {route.path for route in falcon.inspect.inspect_compiled_router(app._router)} == table
    assert [r.prefix for r in falcon.inspect.inspect_static_routes(app)] == ["/assets/"]
    assert falcon.inspect.inspect_sinks(app) == []


def test_what_is_open_to_everybody_is_on_this_list(guarded: Guarded) -> None:
    found = {f"{method} {path}" for method, path, rule in guarded.routes() if rule.scope is None}
    read = {
        *(f"{prefix}/{name}" for prefix in ("", "/v1") for name in ("health", "readiness")),
        *("/", "/preview", "/docs", "/openapi.json", "/api/me"),
    }
    assert found == {
        *(f"{method} {path}" for method in ("GET", "HEAD") for path in read),
        *("POST /api/login", "POST /api/logout"),
    }


def test_keys_are_for_admins(guarded: Guarded) -> None:
    rules = {rule for _, path, rule in guarded.routes() if path.startswith("/api/keys")}
    assert rules == {ADMIN}


class Forgotten:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None: ...

    on_post = on_get


@pytest.mark.parametrize("declared", [None, {"GET": OPEN}])
def test_a_route_without_a_rule_is_seen_and_closed(
    guarded: Guarded, declared: dict[str, Rule] | None
) -> None:
    guarded.app.add_route("/forgotten", Forgotten())
    if declared:
        guarded.guard.declare("/forgotten", declared)
    missing = ["POST"] if declared else ["GET", "POST"]
    assert undeclared(guarded) == [f"{method} /forgotten" for method in missing]
    key = guarded.keys.create("c").secret
    assert guarded.ask("POST", "/forgotten", x_api_key=key).status_code == 403
    if not declared:
        admin = guarded.keys.create("a", "admin").secret
        assert guarded.ask("POST", "/forgotten", x_api_key=admin).status_code == 403


# -- every route, every kind of client, every way to send a key ------------------------------------

SCOPES = ("chat", "manage", "admin")
NOBODY = ("wrong", "revoked", "expired", "disabled", "empty")


def secrets_of(guarded: Guarded) -> dict[str, str]:
    """The secrets of every kind of client."""
    keys = guarded.keys
    found = {scope: keys.create(scope, scope).secret for scope in SCOPES}
    gone = keys.create("gone")
    keys.revoke(gone.key.id)
    short = keys.create("short", "admin", expires_at=time.time_ns() // 1_000_000 + 100)
    time.sleep(0.11)
    keys.import_plain("a-disabled-key-0123456789", "disabled", "admin", enabled=False)
    return found | {
        "wrong": "apl_wrong",
        "revoked": gone.secret,
        "expired": short.secret,
        "disabled": "a-disabled-key-0123456789",
        "empty": "",
    }


CARRIERS: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda key: {"authorization": f"Bearer {key}"},
    "bearer in small letters": lambda key: {"authorization": f"bearer {key}"},
    "x-api-key": lambda key: {"x_api_key": key},
    "both": lambda key: {"authorization": f"Bearer {key}", "x_api_key": key},
}


@pytest.mark.parametrize("who", [*SCOPES, *NOBODY])
def test_every_route_has_one_verdict_however_a_key_is_shown(guarded: Guarded, who: str) -> None:
    secret = secrets_of(guarded)[who]
    every = product(guarded.routes(), CARRIERS.items())
    for number, ((method, path, rule), (way, carry)) in enumerate(every):
        # A separate address: after ten wrong keys, an address has to wait.
        peer = f"10.0.{number // 250}.{number % 250}"
        response = guarded.ask(method, path, peer=peer, **carry(secret))
        if rule.scope is None:
            wanted = REACHED  # open routes ignore the key
        elif who in SCOPES:
            wanted = REACHED if SCOPES.index(who) >= SCOPES.index(rule.scope) else 403
        else:
            wanted = 401
        assert response.status_code == wanted, (method, path, way)


def test_with_nothing_shown_only_open_routes_answer(guarded: Guarded) -> None:
    for method, path, rule in guarded.routes():
        response = guarded.ask(method, path)
        assert response.status_code == (REACHED if rule.scope is None else 401), (method, path)
        if rule.scope is not None:
            assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_cookie_does_what_its_key_may(guarded: Guarded) -> None:
    made = guarded.keys.create("person", "manage")
    cookie = f"other=1; {COOKIE}={guarded.guard.log_in(made.key.id)}"
    for method, path, rule in guarded.routes():
        wanted = 403 if rule.scope == "admin" else REACHED
        assert guarded.ask(method, path, cookie=cookie).status_code == wanted, (method, path)
    guarded.keys.revoke(made.key.id)
    assert guarded.ask("GET", "/v1/models", cookie=cookie).status_code == 401


def test_the_page_that_was_opened_here_may_do_everything_once_per_ticket(guarded: Guarded) -> None:
    ticket = guarded.logins.ticket()
    cookie = guarded.logins.redeem(ticket)
    assert cookie and guarded.logins.redeem(ticket) is None
    for method, path, _ in guarded.routes():
        response = guarded.ask(method, path, cookie=f"{COOKIE}={cookie}")
        assert response.status_code == REACHED, (method, path)
    guarded.logins.log_out(cookie)
    assert guarded.ask("GET", "/api/keys", cookie=f"{COOKIE}={cookie}").status_code == 401


def test_a_cookie_of_another_port_or_of_nobody_is_nothing(guarded: Guarded) -> None:
    good = guarded.logins.log_in("page")
    for cookie in (f"appliance_3001={good}", f"{COOKIE}=", f"{COOKIE}=x", good, f"{COOKIE}"):
        assert guarded.ask("GET", "/api/keys", cookie=cookie).status_code == 401


def test_the_launch_token_is_a_key_for_programs_of_the_same_person(guarded: Guarded) -> None:
    token = guarded.logins.launch_token
    assert guarded.ask("GET", "/api/keys", authorization=f"Bearer {token}").status_code == REACHED
    cookie = f"{COOKIE}={guarded.logins.redeem(token)}"  # a window opens the page with it
    assert guarded.ask("GET", "/api/keys", cookie=cookie).status_code == REACHED


def test_a_key_in_the_query_is_for_websockets_alone(guarded: Guarded) -> None:
    key = guarded.keys.create("c").secret
    path = f"/chat/ws?token={key}"
    assert guarded.ask("GET", path, upgrade="websocket").status_code == REACHED
    assert guarded.ask("GET", path).status_code == 401
    assert guarded.ask("GET", f"/v1/models?token={key}").status_code == 401
    assert guarded.ask("GET", "/chat/ws?token=x", upgrade="websocket").status_code == 401


def test_two_different_keys_are_none(guarded: Guarded) -> None:
    one, two = guarded.keys.create("one"), guarded.keys.create("two", "admin")
    response = guarded.ask(
        "GET", "/v1/models", authorization=f"Bearer {one.secret}", x_api_key=two.secret
    )
    assert response.status_code == 401


def test_a_good_cookie_does_not_help_a_wrong_key(guarded: Guarded) -> None:
    cookie = f"{COOKIE}={guarded.logins.log_in('page')}"
    assert guarded.ask("GET", "/v1/models", cookie=cookie, x_api_key="x").status_code == 401


def test_ten_wrong_keys_a_minute_and_then_wrong_ones_wait_alone(guarded: Guarded) -> None:
    good = guarded.keys.create("good").secret
    for number in range(10):
        assert guarded.ask("GET", "/v1/models", x_api_key=f"x{number}").status_code == 401
    refused = guarded.ask("GET", "/v1/models", authorization="Bearer x10")
    assert refused.status_code == 429
    assert refused.json["error"]["code"] == "too_many_bad_keys"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    # Others behind the same address are let in, also with keys not used before.
    for carry in CARRIERS.values():
        assert guarded.ask("GET", "/v1/models", **carry(good)).status_code == REACHED
    fresh = guarded.keys.create("fresh").secret
    assert guarded.ask("GET", "/v1/models", x_api_key=fresh).status_code == REACHED
    assert guarded.ask("GET", "/v1/models", peer="10.0.0.9", x_api_key="x").status_code == 401


def test_open_routes_are_open_to_whoever_guesses(guarded: Guarded) -> None:
    for _ in range(30):
        guarded.ask("GET", "/v1/models", x_api_key="x")
    assert guarded.ask("GET", "/v1/models", x_api_key="x").status_code == 429
    every = [(method, path) for method, path, rule in guarded.routes() if rule.scope is None]
    for (method, path), carry in product(every, CARRIERS.values()):
        assert guarded.ask(method, path, **carry("x")).status_code == REACHED, (method, path)


def test_guesses_at_open_routes_count_like_others(guarded: Guarded) -> None:
    for _ in range(10):
        assert guarded.ask("GET", "/api/me", x_api_key="x").status_code == REACHED
    assert guarded.ask("GET", "/v1/models", x_api_key="x").status_code == 429


def test_routes_that_ask_a_model_are_counted_and_say_so(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, auth=True, default_rpm=1)
    counted = set()
    for number, (method, path, rule) in enumerate(guarded.routes()):
        key = guarded.keys.create(f"number {number}", "admin").secret
        first = guarded.ask(method, path, x_api_key=key)
        second = guarded.ask(method, path, x_api_key=key)
        assert first.status_code == REACHED
        for response in (first, second):
            limit_headers = {
                name for name in response.headers if name.lower().startswith("x-ratelimit-")
            }
            expected = 3 if rule.limited or rule.shows_limit else 0
            assert len(limit_headers) == expected, (method, path)
        assert second.status_code == (429 if rule.limited else REACHED), (method, path)
        if rule.limited:
            counted.add(path)
            assert first.headers["X-RateLimit-Limit"] == "1"
            assert 1 <= int(second.headers["Retry-After"]) <= 60
    prompts = {f"{v}/{it}" for v in ("", "/v1") for it in ("chat/completions", "completions")}
    session = "/api/sessions/x"
    assert counted == {
        *prompts,
        # The original service counted all of its routes.
        *("/models", "/models/x", "/sessions", "/chat/history/x"),
        *("/embeddings", "/v1/embeddings"),
        *("/v1/responses/compact", "/v1/batches", "/v1/files"),
        *("/api/attachments", "/api/attachments/fit"),
        *("/v1/messages", "/v1/messages/count_tokens"),
        *("/v1/responses", "/v1/responses/input_tokens"),
        *("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"),
        *(f"/api/v0/{it}" for it in ("chat/completions", "completions", "embeddings")),
        *("/completion", "/infill", "/tokenize", "/detokenize", "/apply-template"),
        *(f"{v}/{it}" for v in ("", "/v1") for it in ("rerank", "reranking")),
        f"{session}/turns",
        *(f"{session}/messages/x/{it}" for it in ("regenerate", "continue", "prompt")),
    }


# -- without keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "scope"),
    [
        ("127.0.0.1", None, (), "admin"),
        ("::1", None, (), "admin"),
        ("::ffff:127.0.0.1", None, (), "admin"),
        ("10.0.0.5", None, (), None),
        ("127.0.0.1", "203.0.113.9", (), None),
        ("127.0.0.1", "203.0.113.9", ("127.0.0.0/8",), None),
        ("127.0.0.1", "127.0.0.1", ("127.0.0.1",), None),  # as a client of the proxy may forge it
        ("127.0.0.1", "127.0.0.1, 203.0.113.9", ("127.0.0.1",), None),
        ("10.0.0.5", "127.0.0.1", (), None),
    ],
)
def test_only_this_machine_needs_no_key(
    tmp_path: Path, peer: str, forwarded: str | None, proxies: tuple[str, ...], scope: str | None
) -> None:
    guarded = Guarded(tmp_path, auth=False, trusted_proxies=proxies)
    for method, path, rule in guarded.routes():
        response = guarded.ask(method, path, peer=peer, x_forwarded_for=forwarded)
        wanted = REACHED if scope or rule.scope is None else 401
        assert response.status_code == wanted, (method, path)


def test_insecure_lan_lets_others_chat_and_no_more(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, auth=False, insecure_lan=True)
    for method, path, rule in guarded.routes():
        response = guarded.ask(method, path, peer="10.0.0.5")
        wanted = REACHED if rule.scope in (None, "chat") else 403
        assert response.status_code == wanted, (method, path)
