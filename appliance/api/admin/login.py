"""Login: a key, typed into the page once, becomes a cookie; and who the caller is."""

import falcon

from appliance.api.admin.schemas import LoginIn, Me
from appliance.api.middleware.auth import Guard, cookie, cookie_name
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import decode
from appliance.auth.keys.scopes import Caller
from appliance.auth.login_sessions import LOGIN_SECONDS, LoginSessions
from appliance.errors import WrongOrigin

operation = Operations("Keys")


class Login:
    """`/api/login`, `/api/logout`, `/api/logins` and `/api/me`"""

    def __init__(self, guard: Guard, logins: LoginSessions) -> None:
        self._guard = guard
        self._logins = logins

    @operation(takes=LoginIn, gives=Me, errors=(401, 429))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Log in with a key; the answer is the caller, and a cookie for the page."""
        if req.context.sender not in ("program", "own page"):
            raise WrongOrigin("Only the appliance's own page can log in.")
        caller = self._guard.with_key(req.env, decode(req, LoginIn).key)
        if caller.key_id is not None:
            set_cookie(req, resp, self._guard.log_in(caller.key_id))
        resp.media = self._me(caller)

    @operation(status=204)
    def on_post_logout(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Log out: the cookie is no longer valid; 204."""
        if value := cookie(req.env):
            self._logins.log_out(value)
        resp.unset_cookie(cookie_name(req.env), samesite="Strict", path="/")
        resp.status = falcon.HTTP_204

    @operation(status=204)
    def on_delete_all(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Log all browsers out, also those that the appliance opened; 204."""
        self._logins.log_out_all()
        resp.status = falcon.HTTP_204

    @operation(gives=Me)
    def on_get_me(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The caller, and what they may do."""
        resp.media = self._me(req.context.caller)

    def _me(self, caller: Caller) -> Me:
        return Me(caller.name, caller.scope, self._guard.auth)


def set_cookie(req: falcon.Request, resp: falcon.Response, value: str) -> None:
    """Log the browser in: scripts can't read the cookie, other sites' pages can't send it."""
    resp.set_cookie(
        cookie_name(req.env),
        value,
        max_age=int(LOGIN_SECONDS),
        path="/",
        # A LAN has plain HTTP, where browsers would not send a cookie for HTTPS only.
        secure=req.get_header("X-Forwarded-Proto") == "https",
        http_only=True,
        same_site="Strict",
    )
