"""The whole route table."""

from pathlib import Path

import falcon

from appliance.api import errors
from appliance.api.asking import Asking
from appliance.api.chat_socket import ChatSocket
from appliance.api.guard import (
    ADMIN,
    ASK,
    CHAT,
    MANAGE,
    OPEN,
    Declared,
    Guard,
    GuardMiddleware,
)
from appliance.api.history import History, SessionIds
from appliance.api.keys import KeyList, OneKey
from appliance.api.login import Login
from appliance.api.middleware import RequestLog, SafeHeaders
from appliance.api.models import Library, ModelShelf
from appliance.api.openai import ChatCompletions, Completions, Models
from appliance.api.operation import App
from appliance.api.original import Original
from appliance.api.sessions import OneSession, SessionList, SessionTurns
from appliance.api.spec import Spec
from appliance.api.system import Page, System
from appliance.chat.turn import Turns
from appliance.config import Limits
from appliance.engine.pool import Pool
from appliance.errors import ApplianceError
from appliance.security.keys import Keys
from appliance.security.logins import Logins
from appliance.store.sessions import Sessions


def build(
    *,
    pool: Pool,
    sessions: Sessions,
    turns: Turns,
    library: Library,
    limits: Limits,
    guard: Guard,
    keys: Keys,
    logins: Logins,
    ui: Path,
    version: str,
) -> App:
    """The WSGI application. It wants the server's `appliance.*` entries in its environment."""
    app = App(middleware=[RequestLog(), SafeHeaders(), GuardMiddleware(guard)])
    app.req_options.strip_url_path_trailing_slash = True
    app.add_error_handler(Exception, errors.handle_anything)
    app.add_error_handler(falcon.HTTPError, errors.handle_http_error)
    app.add_error_handler(ApplianceError, errors.handle_appliance_error)

    def add(path: str, resource: object, rule: Declared, suffix: str | None = None) -> None:
        """A route and who may call it; without a rule, nobody may."""
        app.add_route(path, resource, suffix=suffix)
        guard.declare(path, rule)

    original = Original(sessions, turns, pool, limits)
    chat = ChatCompletions(pool, limits, original)
    text = Completions(pool, limits, original)
    models = Models(pool)
    system = System(pool, version)
    for prefix in ("/v1", ""):
        add(f"{prefix}/chat/completions", chat, ASK)
        add(f"{prefix}/completions", text, ASK)
        add(f"{prefix}/models", models, CHAT)
        add(f"{prefix}/models/{{model}}", models, CHAT, "one")
        add(f"{prefix}/health", system, OPEN, "health")
        add(f"{prefix}/readiness", system, OPEN, "readiness")

    one = OneSession(sessions, turns)
    asking = Asking(turns, pool, limits.max_response_tokens)
    session_turns = SessionTurns(turns, asking)
    add("/api/status", system, CHAT, "status")
    add("/api/sessions", SessionList(sessions), CHAT)
    add("/api/sessions/{session_id}", one, CHAT)
    add("/api/sessions/{session_id}/messages", one, CHAT, "messages")
    add("/api/sessions/{session_id}/turns", session_turns, ASK)
    add("/api/sessions/{session_id}/stop", session_turns, CHAT, "stop")
    add("/api/sessions/{session_id}/live", session_turns, CHAT, "live")

    add("/chat/ws", ChatSocket(turns, asking, original, guard), CHAT)
    history = History(sessions, turns)
    add("/sessions", SessionIds(sessions), CHAT)
    add("/chat/history/{session_id}", history, CHAT)
    add("/chat/history/{session_id}/rollback", history, CHAT, "rollback")

    shelf = ModelShelf(pool, library)
    add("/api/models", shelf, CHAT)
    for path in ("/api/models/{model}", "/api/models/{model}/{rest}"):  # an id may be OWNER/NAME
        add(path, shelf, {"GET": CHAT, "DELETE": MANAGE}, "one")
        add(f"{path}/load", shelf, MANAGE, "load")
        add(f"{path}/unload", shelf, MANAGE, "unload")

    login = Login(guard, logins)
    add("/api/login", login, OPEN)
    add("/api/logout", login, OPEN, "logout")
    add("/api/me", login, OPEN, "me")
    add("/api/keys", KeyList(keys), ADMIN)
    add("/api/keys/{key_id}", OneKey(keys), ADMIN)

    add("/openapi.json", Spec(app.routes, version), OPEN)
    add("/", Page(ui, logins), OPEN)
    if (ui / "assets").is_dir():
        app.add_static_route("/assets", str(ui / "assets"))
    return app
