"""The whole route table."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import falcon
import msgspec
from falcon.media import JSONHandler

from appliance.api.admin.expiry import ExpiryResource
from appliance.api.admin.keys import KeyList, OneKey
from appliance.api.admin.login import Login
from appliance.api.admin.system import (
    MetricsText,
    PreviewPage,
    RecentRequestsResource,
    ServiceWorker,
    System,
    WebPage,
)
from appliance.api.chat.attachments import AttachmentsResource
from appliance.api.chat.import_export import ChatFiles
from appliance.api.chat.messages import OneMessage, SentMessages
from appliance.api.chat.organizing.deleted import DeletedChats
from appliance.api.chat.organizing.drafts import Drafts
from appliance.api.chat.organizing.folders import Folders
from appliance.api.chat.preferences import PagePreferences
from appliance.api.chat.presets import Presets
from appliance.api.chat.reply_requests import ReplyStarter
from appliance.api.chat.search import ChatSearch
from appliance.api.chat.sessions import OneSession, SessionList, SessionReplies
from appliance.api.chat.settings import ProfileSettings
from appliance.api.chat.socket import ChatSocket, ChatSocketHandler, SocketClient
from appliance.api.dialects.anthropic.errors import anthropic_error
from appliance.api.dialects.anthropic.messages import Messages, MessageTokens
from appliance.api.dialects.anthropic.models import VERSION_HEADER, ModelsDispatcher
from appliance.api.dialects.legacy.dispatch import ChatCompletionsDispatcher, CompletionsDispatcher
from appliance.api.dialects.legacy.history import History, LegacyModels, SessionIds
from appliance.api.dialects.legacy.plain_text import PlainTextHandler
from appliance.api.dialects.legacy.requests import LegacyApi
from appliance.api.dialects.llama_server.completions import LlamaCompletion, LlamaInfill
from appliance.api.dialects.llama_server.server import ServerState
from appliance.api.dialects.llama_server.texts import Rerank, Tokens
from appliance.api.dialects.lm_studio.resources import (
    LmStudioChats,
    LmStudioCompletions,
    LmStudioModelResource,
)
from appliance.api.dialects.mcp.server import Mcp
from appliance.api.dialects.mcp.tools import ToolBox
from appliance.api.dialects.ollama.derived import OllamaDerived
from appliance.api.dialects.ollama.embeddings import OldOllamaEmbed, OllamaEmbed
from appliance.api.dialects.ollama.generation import OllamaChat, OllamaGenerate
from appliance.api.dialects.ollama.models import OllamaModelResource
from appliance.api.dialects.ollama.pull import OllamaPull
from appliance.api.dialects.ollama.served import OllamaPool
from appliance.api.dialects.openai.batches.batches import Batches
from appliance.api.dialects.openai.batches.files import Files
from appliance.api.dialects.openai.batches.runner import BatchRunner
from appliance.api.dialects.openai.completions import ChatCompletions, Completions
from appliance.api.dialects.openai.embeddings import Embeddings
from appliance.api.dialects.openai.models import OpenAIModels
from appliance.api.dialects.responses.compaction import Compaction
from appliance.api.dialects.responses.prompts import Prompts
from appliance.api.dialects.responses.recorders import Recorders
from appliance.api.dialects.responses.responses import Responses
from appliance.api.middleware.auth import (
    ADMIN,
    CHAT,
    CHAT_ANY_TYPE,
    CHAT_FILES,
    CHAT_FILES_LIMITED,
    CHAT_HEAVY,
    CHAT_HEAVY_FILES,
    CHAT_HEAVY_LIMITED,
    CHAT_LIMITED,
    CHAT_LIMITED_ANY_TYPE,
    CHAT_SHOWS_LIMIT,
    CHAT_UPLOAD,
    MANAGE,
    MANAGE_ANY_TYPE,
    OPEN,
    OPEN_SHOWS_LIMIT,
    Declared,
    Guard,
    GuardMiddleware,
)
from appliance.api.middleware.logging import RequestLog, SafeHeaders
from appliance.api.middleware.metrics import RequestMetrics
from appliance.api.models.downloads import CatalogueResource, DownloadsResource
from appliance.api.models.models import ModelsResource
from appliance.api.openapi.document import Spec
from appliance.api.openapi.html import Docs
from appliance.api.openapi.operation import App
from appliance.api.wire import errors
from appliance.auth.keys.registry import Keys
from appliance.auth.login_sessions import LoginSessions
from appliance.chat.attachments.uploads import AttachmentUploads
from appliance.chat.cleanup import ChatCleanup
from appliance.chat.turns import Turns
from appliance.config.schema import Config
from appliance.engine.serving.pool import Pool
from appliance.errors import ApplianceError
from appliance.http.websocket import WebSocketHandler
from appliance.metrics.dashboard import Dashboard
from appliance.metrics.registry import Metrics
from appliance.models.library import ModelLibrary
from appliance.store.callers.derived_models import DerivedModels
from appliance.store.callers.drafts import DraftBook
from appliance.store.callers.folders import FolderBook
from appliance.store.callers.preferences import PreferenceBook
from appliance.store.callers.presets import PresetBook
from appliance.store.import_export import ChatImportExport
from appliance.store.messages import MessageChanges
from appliance.store.search import Search
from appliance.store.sessions import Sessions
from appliance.store.settings import DefaultProfile
from appliance.store.upkeep.expiry import Expiry
from appliance.store.upkeep.notices import StorageStatus
from appliance.store.upkeep.retention import Retention


def build(
    *,
    pool: Pool,
    sessions: Sessions,
    search: Search,
    chats: ChatImportExport,
    profile: DefaultProfile,
    preferences: PreferenceBook,
    folders: FolderBook,
    drafts: DraftBook,
    retention: Retention,
    cleanup: ChatCleanup,
    presets: PresetBook,
    responses: Recorders,
    batches: BatchRunner,
    derived: DerivedModels,
    turns: Turns,
    changes: MessageChanges,
    uploads: AttachmentUploads,
    library: ModelLibrary,
    guard: Guard,
    keys: Keys,
    logins: LoginSessions,
    metrics: Metrics,
    dashboard: Dashboard,
    refused_variants: Callable[[], dict[str, str]],
    storage: Callable[[], StorageStatus],
    expiry: Expiry,
    config: Config,
    ui: Path,
    version: str,
) -> App:
    """The WSGI application. It needs the server's `appliance.*` entries in its environment."""
    counting = RequestMetrics(metrics)
    formats = errors.ErrorFormats({VERSION_HEADER: anthropic_error})
    app = App(middleware=[RequestLog(), counting, SafeHeaders(), formats, GuardMiddleware(guard)])
    json = JSONHandler(dumps=msgspec.json.encode, loads=msgspec.json.decode)
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = json
    app.req_options.strip_url_path_trailing_slash = True
    app.add_error_handler(Exception, errors.handle_anything)
    app.add_error_handler(falcon.HTTPError, errors.handle_http_error)
    app.add_error_handler(ApplianceError, errors.handle_appliance_error)

    def add(
        path: str,
        resource: object,
        rule: Declared,
        suffix: str | None = None,
        *,
        counts_as: str | None = None,
    ) -> None:
        """A route, who may call it (without a rule, nobody may), and what the metrics count it as
        beside every request."""
        app.add_route(path, resource, suffix=suffix)
        guard.declare(path, rule)
        if counts_as:
            counting.declare(path, counts_as)

    limits = config.limits
    local_models = ModelsResource(pool, library)
    starter = ReplyStarter(sessions, profile, turns, pool, limits.max_response_tokens)
    legacy = LegacyApi(sessions, turns, starter, pool, limits)
    openai_chat = ChatCompletions(pool, local_models, limits)
    openai_text = Completions(pool, limits)
    chat = ChatCompletionsDispatcher(openai_chat, legacy)
    text = CompletionsDispatcher(openai_text, legacy)
    embeddings = Embeddings(pool, limits.max_prompt_length)
    models_of_both = ModelsDispatcher(
        OpenAIModels(local_models), local_models, limits.max_response_tokens
    )
    # Without `/v1`, a route is the original service's as well, which counted every request.
    their_models = LegacyModels(local_models, names=True)
    system = System(pool, dashboard, refused_variants, storage)
    for prefix in ("/v1", ""):
        add(f"{prefix}/chat/completions", chat, CHAT_LIMITED, counts_as="chat")
        add(f"{prefix}/completions", text, CHAT_LIMITED, counts_as="completions")
        add(f"{prefix}/embeddings", embeddings, CHAT_LIMITED)
        listed = models_of_both if prefix else their_models
        read, probed = (CHAT, OPEN) if prefix else (CHAT_LIMITED, OPEN_SHOWS_LIMIT)
        add(f"{prefix}/models", listed, read, counts_as="models_list")
        add(f"{prefix}/models/{{model:path}}", listed, read, "one", counts_as="model_info")
        add(f"{prefix}/health", system, probed, "health", counts_as="health_check")
        add(f"{prefix}/readiness", system, probed, "readiness", counts_as="readiness_check")

    add("/v1/messages", Messages(pool, limits), CHAT_LIMITED, counts_as="chat")
    add("/v1/messages/count_tokens", MessageTokens(pool, limits), CHAT_LIMITED)

    prompts = Prompts(responses, limits)
    stored = Responses(pool, responses, prompts, limits)
    add("/v1/responses", stored, CHAT_LIMITED, counts_as="chat")
    add("/v1/responses/input_tokens", stored, CHAT_LIMITED, "tokens")
    add("/v1/responses/compact", Compaction(pool, prompts, limits), CHAT_LIMITED)
    add("/v1/responses/{response_id}", stored, CHAT, "one")
    add("/v1/responses/{response_id}/cancel", stored, CHAT, "cancel")
    add("/v1/responses/{response_id}/input_items", stored, CHAT, "items")

    batches.serve(
        {
            "/v1/chat/completions": openai_chat,
            "/v1/completions": openai_text,
            "/v1/embeddings": embeddings,
            "/v1/responses": stored,
        }
    )
    files = Files(batches.book)
    add("/v1/files", files, {"GET": CHAT, "POST": CHAT_UPLOAD})
    add("/v1/files/{file_id}", files, CHAT, "one")
    add("/v1/files/{file_id}/content", files, CHAT_HEAVY, "content")
    many = Batches(batches)
    add("/v1/batches", many, {"GET": CHAT, "POST": CHAT_LIMITED})
    add("/v1/batches/{batch_id}", many, CHAT, "one")
    add("/v1/batches/{batch_id}/cancel", many, CHAT, "cancel")

    mcp_tools = ToolBox(sessions, search, pool, local_models)
    add("/mcp", Mcp(mcp_tools, pool, limits, version, guard.count_request), CHAT)

    state = ServerState(pool, local_models, version)
    tokens = Tokens(pool, limits.max_prompt_length)
    add("/props", state, CHAT)
    add("/slots", state, CHAT, "slots")
    add("/tokenize", tokens, CHAT_LIMITED)
    add("/detokenize", tokens, CHAT_LIMITED, "back")
    add("/apply-template", tokens, CHAT_LIMITED, "template")
    add("/completion", LlamaCompletion(pool, limits), CHAT_LIMITED, counts_as="completions")
    add("/infill", LlamaInfill(pool, limits), CHAT_LIMITED, counts_as="completions")
    rerank = Rerank(pool, limits.max_prompt_length)
    for path in ("/v1/rerank", "/v1/reranking", "/rerank", "/reranking"):
        add(path, rerank, CHAT_LIMITED)

    lm_studio = LmStudioModelResource(local_models)
    lm_chats = LmStudioChats(pool, local_models, limits, version)
    lm_texts = LmStudioCompletions(pool, local_models, limits, version)
    add("/api/v0/models", lm_studio, CHAT, counts_as="models_list")
    add("/api/v0/models/{model:path}", lm_studio, CHAT, "one", counts_as="model_info")
    add("/api/v0/chat/completions", lm_chats, CHAT_LIMITED, counts_as="chat")
    add("/api/v0/completions", lm_texts, CHAT_LIMITED, counts_as="completions")
    add("/api/v0/embeddings", embeddings, CHAT_LIMITED)

    ollama_pool = OllamaPool(pool, derived)
    ollama = OllamaModelResource(pool, ollama_pool, local_models)
    answered = CHAT_LIMITED_ANY_TYPE
    add("/api/version", ollama, CHAT, "version")
    add("/api/tags", ollama, CHAT, "tags", counts_as="models_list")
    add("/api/ps", ollama, CHAT, "ps")
    add("/api/show", ollama, CHAT_ANY_TYPE, "show", counts_as="model_info")
    add("/api/chat", OllamaChat(ollama_pool, local_models, limits), answered, counts_as="chat")
    generate = OllamaGenerate(ollama_pool, local_models, limits)
    add("/api/generate", generate, answered, counts_as="completions")
    add("/api/embed", OllamaEmbed(ollama_pool, limits.max_prompt_length), answered)
    add("/api/embeddings", OldOllamaEmbed(ollama_pool, limits.max_prompt_length), answered)
    add("/api/pull", OllamaPull(library, ollama_pool, local_models), CHAT_ANY_TYPE)
    add("/api/delete", ollama, MANAGE_ANY_TYPE)
    made = OllamaDerived(ollama_pool)
    for verb in ("copy", "create", "push"):
        add(f"/api/{verb}", made, MANAGE_ANY_TYPE, verb)

    one = OneSession(sessions, turns, folders)
    replies = SessionReplies(turns, starter)
    chat_files = ChatFiles(sessions, chats, uploads.book, version)
    settings = ProfileSettings(profile, pool, limits, config.models.default_device)
    add("/api/status", system, CHAT, "status")
    add("/api/requests", RecentRequestsResource(metrics), CHAT)
    add("/api/expiry", ExpiryResource(expiry), MANAGE)
    add("/api/settings", settings, {"GET": CHAT, "PUT": MANAGE, "PATCH": MANAGE})
    add("/api/preferences", PagePreferences(preferences), CHAT)
    named = Presets(presets)
    add("/api/presets", named, CHAT)
    add("/api/presets/{preset_id}", named, CHAT, "one")
    add("/api/search", ChatSearch(search), CHAT_HEAVY)
    add("/api/sessions", SessionList(sessions, folders), CHAT_HEAVY)
    add("/api/sessions/import", chat_files, CHAT_HEAVY, "import")
    add("/api/import", chat_files, CHAT_HEAVY_FILES, "any")
    add("/api/export", chat_files, CHAT_HEAVY, "export_many")
    own_folders = Folders(folders, turns)
    add("/api/folders", own_folders, CHAT)
    add("/api/folders/{folder_id}", own_folders, CHAT, "one")
    add("/api/drafts", Drafts(drafts), CHAT)
    deleted = DeletedChats(retention, cleanup)
    add("/api/deleted", deleted, CHAT)
    add("/api/deleted/{session_id}", deleted, CHAT, "one")
    add("/api/sessions/{session_id}", one, CHAT)
    add("/api/sessions/{session_id}/export", chat_files, CHAT_HEAVY, "export")
    add("/api/sessions/{session_id}/restore", one, CHAT, "restore")
    add("/api/sessions/{session_id}/messages", one, CHAT_HEAVY, "messages", counts_as="history")
    message = "/api/sessions/{session_id}/messages/{message_id}"
    one_message = OneMessage(sessions, changes, chats, limits)
    add(message, one_message, CHAT)
    for path in ("edit", "restore"):
        add(f"{message}/{path}", one_message, CHAT, path)
    add(f"{message}/branch", one_message, CHAT_HEAVY, "branch")
    add(f"{message}/prompt", SentMessages(turns, profile, pool), CHAT_LIMITED, "prompt")
    add(f"{message}/regenerate", replies, CHAT_LIMITED, "regenerate", counts_as="chat")
    add(f"{message}/continue", replies, CHAT_LIMITED, "continue", counts_as="chat")
    add("/api/sessions/{session_id}/turns", replies, CHAT_LIMITED, counts_as="chat")
    add("/api/sessions/{session_id}/stop", replies, CHAT, "stop")
    add("/api/sessions/{session_id}/live", replies, CHAT, "live")

    attachments = AttachmentsResource(uploads, pool, sessions, profile)
    add("/api/attachments", attachments, CHAT_FILES_LIMITED)
    add("/api/attachments/fit", attachments, CHAT_LIMITED, "fit")
    add("/api/attachments/{attachment_id}", attachments, CHAT_FILES, "one")
    add("/api/attachments/{attachment_id}/content", attachments, CHAT_HEAVY, "content")
    add("/api/attachments/{attachment_id}/text", attachments, CHAT_HEAVY, "text")

    handlers: dict[str | None, Callable[[SocketClient], WebSocketHandler]] = {
        "appliance.v1": partial(ChatSocketHandler, turns, starter, legacy.read_turn),
        None: partial(PlainTextHandler, legacy.begin_from_socket),
    }
    add("/chat/ws", ChatSocket(handlers, guard.count_request), CHAT)
    history = History(sessions, turns)
    add("/sessions", SessionIds(sessions), CHAT_HEAVY_LIMITED)
    add("/chat/history/{session_id:path}", history, CHAT_HEAVY_LIMITED, counts_as="history")

    add("/api/models", local_models, CHAT)
    for path in ("/api/models/{model}", "/api/models/{model}/{rest}"):  # an id may be OWNER/NAME
        add(path, local_models, {"GET": CHAT, "DELETE": MANAGE}, "one")
        add(f"{path}/load", local_models, MANAGE, "load")
        add(f"{path}/unload", local_models, MANAGE, "unload")
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
    add("/api/logins", login, ADMIN, "all")
    add("/api/keys", KeyList(keys), ADMIN)
    add("/api/keys/{key_id}", OneKey(keys), ADMIN)

    if config.observability.enable_metrics:
        add(config.observability.metrics_path, MetricsText(metrics), CHAT_SHOWS_LIMIT)
    add("/openapi.json", Spec(app.routes, version), OPEN)
    add("/docs", Docs(app.routes, version), OPEN)
    add("/preview", PreviewPage(ui), OPEN)
    add("/", WebPage(ui, logins, config.server.ui_csp), OPEN)
    if config.server.ui_dir and ui.is_dir():
        app.add_static_route("/", str(ui))  # whatever no route answers
    elif (ui / "assets").is_dir():
        add("/service-worker.js", ServiceWorker(ui), OPEN)
        app.add_static_route("/assets", str(ui / "assets"))
    return app
