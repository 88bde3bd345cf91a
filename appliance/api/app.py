"""The whole route table."""

from collections.abc import Callable
from pathlib import Path

import falcon

from appliance.api.admin.keys import KeyList, OneKey
from appliance.api.admin.login import Login
from appliance.api.admin.system import Page, System
from appliance.api.chat.import_export import ChatTransfer
from appliance.api.chat.preferences import PagePreferences
from appliance.api.chat.reply_requests import Asking
from appliance.api.chat.search import ChatSearch
from appliance.api.chat.sessions import OneSession, SessionList, SessionReplies
from appliance.api.chat.settings import ProfileSettings
from appliance.api.chat.socket import ChatSocket
from appliance.api.legacy.history import History, SessionIds
from appliance.api.legacy.requests import Original
from appliance.api.middleware.auth import (
    ADMIN,
    ASK,
    CHAT,
    MANAGE,
    OPEN,
    Declared,
    Guard,
    GuardMiddleware,
)
from appliance.api.middleware.logging import RequestLog, SafeHeaders
from appliance.api.middleware.metrics import Counting, MetricsText
from appliance.api.models.downloads import CatalogueResource, DownloadsResource
from appliance.api.models.models import ModelShelf
from appliance.api.openai.completions import ChatCompletions, Completions, Models
from appliance.api.openai.embeddings import Embeddings
from appliance.api.openapi.document import Spec
from appliance.api.openapi.html import Docs
from appliance.api.openapi.operation import App
from appliance.api.wire import errors
from appliance.auth.keys.registry import Keys
from appliance.auth.login_sessions import Logins
from appliance.chat.turns import Turns
from appliance.config.schema import Config
from appliance.engine.pool import Pool
from appliance.errors import ApplianceError
from appliance.metrics.dashboard import Dashboard
from appliance.metrics.registry import Metrics
from appliance.models.library import Library
from appliance.store.import_export import Transfer
from appliance.store.preferences import PreferenceBook
from appliance.store.search import Search
from appliance.store.sessions import Sessions
from appliance.store.settings import Profile


def build(
    *,
    pool: Pool,
    sessions: Sessions,
    search: Search,
    chats: Transfer,
    profile: Profile,
    preferences: PreferenceBook,
    turns: Turns,
    library: Library,
    guard: Guard,
    keys: Keys,
    logins: Logins,
    metrics: Metrics,
    dashboard: Dashboard,
    refused_variants: Callable[[], dict[str, str]],
    config: Config,
    ui: Path,
    version: str,
) -> App:
    """The WSGI application. It wants the server's `appliance.*` entries in its environment."""
    app = App(middleware=[RequestLog(), Counting(metrics), SafeHeaders(), GuardMiddleware(guard)])
    limits = config.limits
    app.req_options.strip_url_path_trailing_slash = True
    app.add_error_handler(Exception, errors.handle_anything)
    app.add_error_handler(falcon.HTTPError, errors.handle_http_error)
    app.add_error_handler(ApplianceError, errors.handle_appliance_error)

    def add(path: str, resource: object, rule: Declared, suffix: str | None = None) -> None:
        """A route and who may call it; without a rule, nobody may."""
        app.add_route(path, resource, suffix=suffix)
        guard.declare(path, rule)

    limits = config.limits
    asking = Asking(sessions, profile, turns, pool, limits.max_response_tokens)
    original = Original(sessions, asking, pool, limits)
    chat = ChatCompletions(pool, limits, original)
    text = Completions(pool, limits, original)
    embeddings = Embeddings(pool, limits.max_prompt_length)
    shelf = ModelShelf(pool, library)
    models = Models(shelf)
    system = System(pool, dashboard, refused_variants)
    for prefix in ("/v1", ""):
        add(f"{prefix}/chat/completions", chat, ASK)
        add(f"{prefix}/completions", text, ASK)
        add(f"{prefix}/embeddings", embeddings, ASK)
        add(f"{prefix}/models", models, CHAT)
        add(f"{prefix}/models/{{model:path}}", models, CHAT, "one")
        add(f"{prefix}/health", system, OPEN, "health")
        add(f"{prefix}/readiness", system, OPEN, "readiness")

    one = OneSession(sessions, turns)
    replies = SessionReplies(turns, asking)
    transfer = ChatTransfer(chats, version)
    settings = ProfileSettings(profile, pool, limits, config.models.default_device)
    add("/api/status", system, CHAT, "status")
    add("/api/settings", settings, {"GET": CHAT, "PUT": MANAGE, "PATCH": MANAGE})
    add("/api/preferences", PagePreferences(preferences), CHAT)
    add("/api/search", ChatSearch(search), CHAT)
    add("/api/sessions", SessionList(sessions), CHAT)
    add("/api/sessions/import", transfer, CHAT, "import")
    add("/api/sessions/{session_id}", one, CHAT)
    add("/api/sessions/{session_id}/export", transfer, CHAT, "export")
    add("/api/sessions/{session_id}/restore", one, CHAT, "restore")
    add("/api/sessions/{session_id}/messages", one, CHAT, "messages")
    message = "/api/sessions/{session_id}/messages/{message_id}"
    add(f"{message}/regenerate", replies, ASK, "regenerate")
    add(f"{message}/continue", replies, ASK, "continue")
    add("/api/sessions/{session_id}/turns", replies, ASK)
    add("/api/sessions/{session_id}/stop", replies, CHAT, "stop")
    add("/api/sessions/{session_id}/live", replies, CHAT, "live")

    add("/chat/ws", ChatSocket(turns, asking, original, guard), CHAT)
    history = History(sessions, turns)
    add("/sessions", SessionIds(sessions), CHAT)
    add("/chat/history/{session_id}", history, CHAT)
    add("/chat/history/{session_id}/rollback", history, CHAT, "rollback")

    add("/api/models", shelf, CHAT)
    for path in ("/api/models/{model}", "/api/models/{model}/{rest}"):  # an id may be OWNER/NAME
        add(path, shelf, {"GET": CHAT, "DELETE": MANAGE}, "one")
        add(f"{path}/load", shelf, MANAGE, "load")
        add(f"{path}/unload", shelf, MANAGE, "unload")
    downloads = DownloadsResource(library)
    add("/api/catalogue", CatalogueResource(library), MANAGE)
    add("/api/downloads", downloads, MANAGE)
    add("/api/downloads/{download_id}", downloads, MANAGE, "one")
    for verb in ("pause", "resume", "cancel"):
        add(f"/api/downloads/{{download_id}}/{verb}", downloads, MANAGE, verb)

    login = Login(guard, logins)
    add("/api/login", login, OPEN)
    add("/api/logout", login, OPEN, "logout")
    add("/api/me", login, OPEN, "me")
    add("/api/keys", KeyList(keys), ADMIN)
    add("/api/keys/{key_id}", OneKey(keys), ADMIN)

    if config.observability.enable_metrics:
        add(config.observability.metrics_path, MetricsText(metrics), MANAGE)
    add("/openapi.json", Spec(app.routes, version), OPEN)
    add("/docs", Docs(app.routes, version), OPEN)
    add("/", Page(ui, logins), OPEN)
    if (ui / "assets").is_dir():
        app.add_static_route("/assets", str(ui / "assets"))
    return app
