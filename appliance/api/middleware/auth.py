"""Authorization: checked for every request before its route, and before a WebSocket opens.

Every route has a rule in the route table; one without a rule is closed to everybody.
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
from appliance.auth.authenticator import Authenticator, Credentials
from appliance.auth.keys.scopes import Caller, Scope
from appliance.auth.origin_policy import Local, OriginPolicy, RequestSource
from appliance.auth.proxies import sign_of_proxy
from appliance.auth.rate_limiter import RatePolicy, RateVerdict
from appliance.errors import (
    ApplianceError,
    NotAllowed,
    TooManyBadKeys,
    TooManyRequests,
    Unauthorized,
    VaultUnavailable,
    WrongOrigin,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = logging.getLogger(__name__)


class Rule(msgspec.Struct, frozen=True):
    """Who may call a route."""

    scope: Scope | None
    """None: everybody whom the host and origin lists admit."""
    limited: bool = False
    """A request counts towards the caller's requests a minute."""
    heavy: bool = False
    """Its answer may be large: few are made at once."""
    shows_limit: bool = False
    """Its answer says how many requests the caller has left, though this one does not count: what
    supervises the service must not be refused."""
    files: bool = False
    """The body may be a file of `FILE_TYPES` as well, which pages of other origins can't send
    without a preflight."""
    any_type: bool = False
    """Programs may send JSON as any media type, which web pages may not."""
    uploads: bool = False
    """The body may be as large as a file."""


OPEN = Rule(None)
OPEN_SHOWS_LIMIT = Rule(None, shows_limit=True)
CHAT = Rule("chat")
CHAT_LIMITED = Rule("chat", limited=True)
CHAT_SHOWS_LIMIT = Rule("chat", shows_limit=True)
CHAT_HEAVY = Rule("chat", heavy=True)
CHAT_FILES = Rule("chat", files=True)
CHAT_FILES_LIMITED = Rule("chat", limited=True, files=True)
CHAT_HEAVY_FILES = Rule("chat", heavy=True, files=True, uploads=True)
CHAT_UPLOAD = Rule("chat", limited=True, any_type=True, uploads=True)
CHAT_HEAVY_LIMITED = Rule("chat", limited=True, heavy=True)
CHAT_ANY_TYPE = Rule("chat", any_type=True)
CHAT_LIMITED_ANY_TYPE = Rule("chat", limited=True, any_type=True)
MANAGE = Rule("manage")
MANAGE_ANY_TYPE = Rule("manage", any_type=True)
ADMIN = Rule("admin")

Declared = Rule | Mapping[str, Rule]
"""One rule for all methods of a path, or one for each; methods without one are for admins."""


class Guard:
    """Checks hosts, origins, keys and rates, for HTTP and WebSockets alike. Thread-safe."""

    def __init__(
        self, origins: OriginPolicy, authenticator: Authenticator, rates: RatePolicy
    ) -> None:
        self._origins = origins
        self._authenticator = authenticator
        self._rates = rates
        self.rules: dict[str, Declared] = {}
        """By path, as the route table declares them."""

    def declare(self, path: str, rule: Declared) -> None:
        """Set the rule of a path."""
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
            log.error("the route %s has no rule and is closed", path)
            raise NotAllowed("Nobody may call this.")
        if isinstance(declared, Rule):
            return declared
        return declared.get("GET" if method == "HEAD" else method, ADMIN)

    def refused(
        self, method: str, headers: Mapping[str, str], local: Local
    ) -> ApplianceError | None:
        """What is wrong with a request whose body has not been read; None: it is admitted.

        Args:
            method: of the request.
            headers: by names in capitals with `_` for `-`.
            local: address and port of this end.
        """
        try:
            self._origins.check(method, headers.get, local)
        except NotAllowed as error:
            return error
        return None

    def may_upload(self, environ: "WSGIEnvironment") -> bool:
        """Whether a request may have a large body: its route is for files, and its caller may use
        it. It is checked again, and counted, when it is answered."""
        try:
            path = environ["PATH_INFO"].rstrip("/")
            rule = self.rule_of(path, environ["REQUEST_METHOD"]) if path in self.rules else OPEN
            if rule.uploads:
                self(environ, rule)
        except ApplianceError:
            return False
        return rule.uploads

    def sender(self, environ: "WSGIEnvironment") -> RequestSource:
        """Whether a web page sent the request, and which.

        Raises:
            WrongHost, WrongOrigin: it is not admitted.
        """
        return self._origins.check(
            environ["REQUEST_METHOD"], _headers(environ).get, environ["appliance.local"]
        )

    def __call__(self, environ: "WSGIEnvironment", rule: Rule) -> Caller:
        """Authenticate and authorize a request; returns its caller. Counts only wrong keys.

        Where nobody needs a key, one that is not good is as good as none.

        Raises:
            WrongHost, WrongOrigin: it is not admitted.
            Unauthorized, TooManyBadKeys: a key is required, or a different one.
            NotAllowed: the key is valid, but its scope does not cover this.
            VaultUnavailable: the key cannot be checked.
        """
        sender = self.sender(environ)
        credentials = _credentials(environ, sender)
        try:
            caller = self._authenticator.authenticate(credentials)
        except (Unauthorized, TooManyBadKeys, VaultUnavailable):
            if rule.scope is not None:
                raise
            caller = self._authenticator.authenticate(
                msgspec.structs.replace(credentials, keys=(), cookie=None)
            )
        if sender == "any page" and caller.key_id is None:
            raise WrongOrigin("Pages of other origins need a key.")
        if rule.scope is None or caller.may(rule.scope):
            return caller
        if caller.scope is None:
            raise Unauthorized(self._what_is_missing(caller))
        raise NotAllowed(
            f"The key {caller.name} has the scope {caller.scope}; this needs {rule.scope}."
        )

    def _what_is_missing(self, caller: Caller) -> str:
        if caller.proxied is None or self.auth:
            return "This needs a key, as Authorization: Bearer or x-api-key."
        return (
            f"This request came through a proxy ({caller.proxied}), so it counts as somebody"
            " else's, not as this machine's. To let others in through a proxy, set"
            " security.enable_auth = true, give them keys (appliance keys create), and list the"
            " proxy in security.trusted_proxies."
        )

    @property
    def auth(self) -> bool:
        """Whether everybody needs a key."""
        return self._authenticator.auth

    def with_key(self, environ: "WSGIEnvironment", secret: str) -> Caller:
        """The caller of a request if it came with this key. Raises as a call does."""
        credentials = _credentials(environ, self.sender(environ))
        return self._authenticator.authenticate(
            msgspec.structs.replace(credentials, keys=(secret,), cookie=None)
        )

    def log_in(self, key_id: str) -> str:
        """A cookie for a key that was just shown."""
        return self._authenticator.log_in(key_id)

    def check_again(self, key_id: str) -> None:
        """Check a key once more, after the owner of the connection was set: revoking a key cuts the
        connections that it owns.

        Raises:
            Unauthorized: the key has just been revoked.
        """
        if not self._authenticator.is_good(key_id):
            raise Unauthorized("This key is no longer valid.")

    def count_request(self, caller: Caller) -> RateVerdict | None:
        """Count a request of a caller; on a WebSocket, each message that asks for a reply.

        Raises:
            TooManyRequests: the caller has none left.
        """
        return self._rates.take(caller)

    def remaining(self, caller: Caller) -> RateVerdict | None:
        """How many requests the caller has left; None: there is no limit."""
        return self._rates.left(caller)


def cookie_name(environ: "WSGIEnvironment") -> str:
    """The name of this service's cookie. It has the port: browsers send cookies to every port."""
    return f"appliance_{environ['appliance.local'][1]}"


def cookie(environ: "WSGIEnvironment") -> str | None:
    """The value of this service's cookie."""
    name = cookie_name(environ)
    for pair in environ.get("HTTP_COOKIE", "").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return str(value)
    return None


def _credentials(environ: "WSGIEnvironment", sender: RequestSource) -> Credentials:
    keys = [environ["HTTP_X_API_KEY"].strip()] if "HTTP_X_API_KEY" in environ else []
    if authorization := environ.get("HTTP_AUTHORIZATION", "").strip():
        scheme, _, secret = authorization.partition(" ")
        # Another scheme is not a key of ours, and is refused like any wrong key.
        keys.append(secret.strip() if scheme.lower() == "bearer" else authorization)
    if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
        # Browsers cannot set headers for a WebSocket.
        keys += parse_qs(environ.get("QUERY_STRING", "")).get("token", [])
    return Credentials(
        peer=environ["REMOTE_ADDR"],
        sender=sender,
        keys=tuple(keys),
        cookie=cookie(environ),
        forwarded=environ.get("HTTP_X_FORWARDED_FOR"),
        proxied=sign_of_proxy(
            (name.removeprefix("HTTP_") for name in environ if name.startswith("HTTP_")),
            environ.get("SERVER_PROTOCOL", ""),
        ),
    )


def _headers(environ: "WSGIEnvironment") -> dict[str, str]:
    wanted = ("HOST", "ORIGIN", "SEC_FETCH_SITE", "SEC_FETCH_MODE")
    return {name: environ[f"HTTP_{name}"] for name in wanted if f"HTTP_{name}" in environ}


class GuardMiddleware:
    """Asks the guard. Resources find who called them in `req.context.caller`."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Check hosts and origins, and answer preflights, which carry no key."""
        sender = req.context.sender = self._guard.sender(req.env)
        requested = req.get_header("Access-Control-Request-Method")
        if req.method == "OPTIONS" and requested and sender in ("listed page", "any page"):
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
        """Check keys, scopes and rates."""
        rule = self._guard.rule_of(req.uri_template, req.method)
        caller = req.context.caller = self._guard(req.env, rule)
        if caller.scope and self._guard.auth:
            req.env["appliance.set_owner"](caller.key_id or "")
        if caller.key_id:
            self._guard.check_again(caller.key_id)
        any_type = rule.any_type and req.context.sender == "program"
        allowed = (falcon.MEDIA_JSON, *(FILE_TYPES if rule.files else ()))
        if req.content_length and not any_type and _media_type(req) not in allowed:
            # Browsers send other types for any page, without a preflight.
            raise falcon.HTTPUnsupportedMediaType(
                description="the body must be JSON, with Content-Type: application/json"
            )
        if rule.heavy:
            req.env["appliance.heavy"]()
        if rule.shows_limit:
            _set_limit_headers(resp, self._guard.remaining(caller))
        if rule.limited:
            req.context.limited = True
            try:
                verdict = self._guard.count_request(caller)
            except TooManyRequests:
                _set_limit_headers(resp, self._guard.remaining(caller))
                raise
            _set_limit_headers(resp, verdict)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """Let pages of other origins read the response; never with credentials."""
        sender = getattr(req.context, "sender", None)
        if sender == "listed page":
            resp.set_header("Access-Control-Allow-Origin", req.get_header("Origin") or "")
        elif sender == "any page":
            resp.set_header("Access-Control-Allow-Origin", "*")
        else:
            return
        resp.append_header("Vary", "Origin")
        resp.set_header("Access-Control-Expose-Headers", ", ".join(EXPOSED))


FILE_TYPES = ("application/zip", "application/octet-stream", "application/vnd.sqlite3")
LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
EXPOSED = (*LIMIT_HEADERS, "Retry-After", "X-Request-Id", WARNING, DROPPED_MESSAGES)
"""The headers that such a page may read."""


def _media_type(req: falcon.Request) -> str:
    return (req.content_type or "").partition(";")[0].strip().lower()


def _set_limit_headers(resp: falcon.Response, verdict: RateVerdict | None) -> None:
    if verdict:
        # A wall-clock time, as clients of the original service expect it.
        reset = math.ceil(time.time() + verdict.reset_seconds)
        values = (verdict.limit, verdict.remaining, reset)
        resp.set_headers(dict(zip(LIMIT_HEADERS, map(str, values), strict=True)))
