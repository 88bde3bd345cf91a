"""The whole route table."""

from pathlib import Path

import falcon

from appliance.api import errors
from appliance.api.asking import Asking
from appliance.api.chat_socket import ChatSocket
from appliance.api.middleware import RequestLog, SafeHeaders
from appliance.api.openai import ChatCompletions, Completions, Models
from appliance.api.operation import App
from appliance.api.sessions import OneSession, SessionList, SessionTurns
from appliance.api.spec import Spec
from appliance.api.system import Page, System
from appliance.chat.turn import Turns
from appliance.config import Limits
from appliance.engine.pool import Pool
from appliance.errors import ApplianceError
from appliance.store.sessions import Sessions


def build(
    *, pool: Pool, sessions: Sessions, turns: Turns, limits: Limits, ui: Path, version: str
) -> App:
    """The WSGI application. It wants the server's `appliance.*` entries in its environment."""
    app = App(middleware=[RequestLog(), SafeHeaders()])
    app.req_options.strip_url_path_trailing_slash = True
    app.add_error_handler(Exception, errors.handle_anything)
    app.add_error_handler(falcon.HTTPError, errors.handle_http_error)
    app.add_error_handler(ApplianceError, errors.handle_appliance_error)

    chat = ChatCompletions(pool, limits.max_response_tokens, limits.max_prompt_length)
    text = Completions(pool, limits.max_response_tokens, limits.max_prompt_length)
    models = Models(pool)
    system = System(pool, version)
    for prefix in ("/v1", ""):
        app.add_route(f"{prefix}/chat/completions", chat)
        app.add_route(f"{prefix}/completions", text)
        app.add_route(f"{prefix}/models", models)
        app.add_route(f"{prefix}/models/{{model}}", models, suffix="one")
        app.add_route(f"{prefix}/health", system, suffix="health")
        app.add_route(f"{prefix}/readiness", system, suffix="readiness")

    one = OneSession(sessions, turns)
    asking = Asking(turns, pool, limits.max_response_tokens)
    session_turns = SessionTurns(turns, asking)
    app.add_route("/api/status", system, suffix="status")
    app.add_route("/api/sessions", SessionList(sessions))
    app.add_route("/api/sessions/{session_id}", one)
    app.add_route("/api/sessions/{session_id}/messages", one, suffix="messages")
    app.add_route("/api/sessions/{session_id}/turns", session_turns)
    app.add_route("/api/sessions/{session_id}/stop", session_turns, suffix="stop")
    app.add_route("/api/sessions/{session_id}/live", session_turns, suffix="live")

    app.add_route("/chat/ws", ChatSocket(turns, asking))
    app.add_route("/openapi.json", Spec(app.routes, version))

    app.add_route("/", Page(ui))
    if (ui / "assets").is_dir():
        app.add_static_route("/assets", str(ui / "assets"))
    return app
