"""Who may call what: asked about every request before its route, and before a WebSocket opens.

Every route declares a rule in the route table; one without is refused to everybody.
"""

import logging
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import falcon
import msgspec

from appliance.api.wire.headers import DROPPED_MESSAGES, WARNING
from appliance.auth.authenticator import Callers, Shown
from appliance.auth.keys.scopes import Caller, Scope
from appliance.auth.origin_policy import Doors, From, Local
from appliance.auth.rate_limiter import Verdict
from appliance.auth.rate_policy import Rates
from appliance.errors import ApplianceError, NotAllowed, TooManyRequests, Unauthorized, WrongOrigin

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = logging.getLogger(__name__)


class Rule(msgspec.Struct, frozen=True):
    """Who may call a route."""

    scope: Scope | None
    """None: everybody whom the host and origin lists let in."""
    limited: bool = False
    """A request counts towards the caller's requests a minute."""


OPEN = Rule(None)
CHAT = Rule("chat")
ASK = Rule("chat", limited=True)
MANAGE = Rule("manage")
ADMIN = Rule("admin")

Declared = Rule | Mapping[str, Rule]
"""One rule for every method of a path, or one for each; methods without one are for admins."""


class Guard:
    """One set of lists, keys and limits, for every way in. Safe from any thread."""

    def __init__(self, doors: Doors, callers: Callers, rates: Rates) -> None:
        self._doors = doors
        self._callers = callers
        self._rates = rates
        self.rules: dict[str, Declared] = {}
        """As the route table declares them, by path."""

    def declare(self, path: str, rule: Declared) -> None:
        """The rule of a path, as the route table writes it."""
        self.rules[path] = rule

    def rule_of(self, path: str | None, method: str) -> Rule:
        """The rule of a request.

        Raises:
            NotAllowed: the route table has none.
        """
        if method == "OPTIONS":
            return OPEN
        declared = self.rules.get(path or "")
        if declared is None:
            log.error("the route %s has no rule, and is closed", path)
            raise NotAllowed("Nobody may call this.")
        if isinstance(declared, Rule):
            return declared
        return declared.get(method, ADMIN)

    def refused(self, headers: Mapping[str, str], local: Local) -> ApplianceError | None:
        """What is wrong with a request whose body has not been read; None: it may come in.

        Args:
            headers: by names in capitals with `_` for `-`.
            local: address and port of this end.
        """
        try:
            self._doors.check(headers.get, local)
        except NotAllowed as error:
            return error
        return None

    def sender(self, environ: "WSGIEnvironment") -> From:
        """Whether a web page sent the request, and which.

        Raises:
            WrongHost, WrongOrigin: it may not come in.
        """
        return self._doors.check(_headers(environ).get, environ["appliance.local"])

    def __call__(self, environ: "WSGIEnvironment", rule: Rule) -> Caller:
        """Who sent the request, if it may be answered. Counts nothing but wrong keys.

        Raises:
            WrongHost, WrongOrigin: it may not come in.
            Unauthorized, TooManyBadKeys: it takes a key, or another one.
            NotAllowed: the key is good, but not for this.
            VaultUnavailable: nobody can say whether the key is good.
        """
        sender = self.sender(environ)
        caller = self._callers.who(_shown(environ, sender))
        if sender == "any page" and caller.key_id is None:
            raise WrongOrigin("Pages of other origins need a key.")
        if rule.scope is None or caller.may(rule.scope):
            return caller
        if caller.scope is None:
            raise Unauthorized("This takes a key, as Authorization: Bearer or x-api-key.")
        raise NotAllowed(f"The key {caller.name} is for {caller.scope}; this takes {rule.scope}.")

    @property
    def auth(self) -> bool:
        """Everybody shows a key."""
        return self._callers.auth

    def with_key(self, environ: "WSGIEnvironment", secret: str) -> Caller:
        """Who the sender of a request is with this key. Raises as a call does."""
        shown = _shown(environ, self.sender(environ))
        return self._callers.who(msgspec.structs.replace(shown, keys=(secret,), cookie=None))

    def check_again(self, key_id: str) -> None:
        """For after it was written down whose the connection is: who revokes a key reads that.

        Raises:
            Unauthorized: the key was revoked just now.
        """
        if not self._callers.is_good(key_id):
            raise Unauthorized("This key is not good any more.")

    def take(self, caller: Caller) -> Verdict | None:
        """Counts a request of the caller's; of a WebSocket, every message that asks for a reply.

        Raises:
            TooManyRequests: it was one too many.
        """
        return self._rates.take(caller)

    def left(self, caller: Caller) -> Verdict | None:
        """How many requests the caller has left; None: any number."""
        return self._rates.left(caller)


def cookie_name(environ: "WSGIEnvironment") -> str:
    """What the cookie of this service is called: browsers send it to every port of a host."""
    return f"appliance_{environ['appliance.local'][1]}"


def cookie(environ: "WSGIEnvironment") -> str | None:
    """The value of this service's cookie."""
    name = cookie_name(environ)
    for pair in environ.get("HTTP_COOKIE", "").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return str(value)
    return None


def _shown(environ: "WSGIEnvironment", sender: From) -> Shown:
    keys = [environ["HTTP_X_API_KEY"].strip()] if "HTTP_X_API_KEY" in environ else []
    if authorization := environ.get("HTTP_AUTHORIZATION", "").strip():
        scheme, _, secret = authorization.partition(" ")
        # Another scheme is no key of ours, and is told so like any wrong one.
        keys.append(secret.strip() if scheme.lower() == "bearer" else authorization)
    if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
        # Browsers cannot set headers there.
        keys += parse_qs(environ.get("QUERY_STRING", "")).get("token", [])
    return Shown(
        peer=environ["REMOTE_ADDR"],
        sender=sender,
        keys=tuple(keys),
        cookie=cookie(environ),
        forwarded=environ.get("HTTP_X_FORWARDED_FOR"),
    )


def _headers(environ: "WSGIEnvironment") -> dict[str, str]:
    wanted = ("HOST", "ORIGIN", "SEC_FETCH_SITE", "SEC_FETCH_MODE")
    return {name: environ[f"HTTP_{name}"] for name in wanted if f"HTTP_{name}" in environ}


class GuardMiddleware:
    """Asks the guard. What a resource has as `req.context.caller` may call it."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Hosts and origins; answers preflights, which carry no key."""
        sender = req.context.sender = self._guard.sender(req.env)
        asked = req.get_header("Access-Control-Request-Method")
        if req.method == "OPTIONS" and asked and sender in ("listed page", "any page"):
            resp.status = falcon.HTTP_204
            resp.set_header("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
            wanted = req.get_header("Access-Control-Request-Headers") or ""
            names = [name.strip() for name in wanted.split(",")]
            plain = ", ".join(n for n in names if n.replace("-", "").isalnum() and n.isascii())
            if plain:
                resp.set_header("Access-Control-Allow-Headers", plain)
            resp.set_header("Access-Control-Max-Age", "600")
            resp.complete = True

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: object
    ) -> None:
        """Keys, scopes and rates."""
        rule = self._guard.rule_of(req.uri_template, req.method)
        caller = req.context.caller = self._guard(req.env, rule)
        if caller.key_id:
            req.env["appliance.belongs_to"](caller.key_id)
            self._guard.check_again(caller.key_id)
        if req.content_length and _media_type(req) != falcon.MEDIA_JSON:
            # Other types a browser sends for any page without asking first.
            raise falcon.HTTPUnsupportedMediaType(
                description="the body must be JSON, with Content-Type: application/json"
            )
        if rule.limited:
            try:
                verdict = self._guard.take(caller)
            except TooManyRequests:
                _tell(resp, self._guard.left(caller))
                raise
            _tell(resp, verdict)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """What pages of other origins may read. Never with cookies, so never by their name."""
        sender = getattr(req.context, "sender", None)
        if sender == "listed page":
            resp.set_header("Access-Control-Allow-Origin", req.get_header("Origin") or "")
        elif sender == "any page":
            resp.set_header("Access-Control-Allow-Origin", "*")
        else:
            return
        resp.append_header("Vary", "Origin")
        resp.set_header("Access-Control-Expose-Headers", ", ".join(EXPOSED))


LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
EXPOSED = (*LIMIT_HEADERS, "Retry-After", "X-Request-Id", WARNING, DROPPED_MESSAGES)
"""What such a page may read of the headers."""


def _media_type(req: falcon.Request) -> str:
    return (req.content_type or "").partition(";")[0].strip().lower()


def _tell(resp: falcon.Response, verdict: Verdict | None) -> None:
    if verdict:
        # A time of the clock, as clients of the original service take it.
        reset = math.ceil(time.time() + verdict.reset_seconds)
        values = (verdict.limit, verdict.remaining, reset)
        resp.set_headers(dict(zip(LIMIT_HEADERS, map(str, values), strict=True)))
