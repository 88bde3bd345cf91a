"""The tools, and what each takes."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from appliance.api.dialects.mcp.messages import BAD_PARAMS, RpcFault, tool_result
from appliance.api.models.models import ModelsResource
from appliance.api.wire.bodies import Body
from appliance.auth.keys.scopes import Caller, Scope
from appliance.config.validation import ValidationFault
from appliance.engine.serving.pool import Pool
from appliance.errors import RequestError
from appliance.store.search import Search
from appliance.store.sessions import Sessions

Limit = Annotated[int, Meta(ge=1, le=200, description="How many at most.")]
Offset = Annotated[int, Meta(ge=0, le=2**31 - 1, description="How many are passed over.")]
Name = Annotated[str, Meta(max_length=256)]


class ListChats(Body, kw_only=True, frozen=True):
    """Stored chats with their ids and titles: pinned ones first, then the last used."""

    limit: Limit = 50
    offset: Offset = 0


class SearchChats(Body, kw_only=True, frozen=True):
    """Titles and messages of stored chats that contain every word, the newest first."""

    query: Annotated[str, Meta(min_length=1, max_length=500)]
    limit: Limit = 20
    offset: Offset = 0


class ReadChat(Body, kw_only=True, frozen=True):
    """The messages of a stored chat, on the branch that is shown, the oldest first."""

    chat_id: Annotated[Name, Meta(description="As list_chats and search_chats give it.")]
    limit: Limit = 50
    offset: Offset = 0


class ListModels(Body, kw_only=True, frozen=True):
    """The language models of this service, the default first."""


class Ask(Body, kw_only=True, frozen=True):
    """Have a model of this service answer a prompt. Nothing of it is stored."""

    prompt: Annotated[str, Meta(min_length=1)]
    system: Annotated[str | None, Meta(description="A system prompt.")] = None
    model: Annotated[Name | None, Meta(description="Its id; by default the first.")] = None
    max_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class LoadModel(Body, kw_only=True, frozen=True):
    """Begin to load a model, so that its next answer comes sooner."""

    model: Name


class UnloadModel(Body, kw_only=True, frozen=True):
    """Free the memory that a model takes; requests that it works on fail."""

    model: Name


class Tool(msgspec.Struct, frozen=True):
    """A tool, and who may use it."""

    name: str
    takes: type[Body]
    scope: Scope = "chat"
    reads: bool = True
    """It changes nothing."""

    def listed(self) -> dict[str, Any]:
        """As `tools/list` has it."""
        (_, components) = msgspec.json.schema_components([self.takes])
        schema = dict(components[self.takes.__name__])
        about = schema.pop("description", "")
        schema.pop("title", None)
        return {
            "name": self.name,
            "description": " ".join(about.split()),
            "inputSchema": schema,
            "annotations": {"readOnlyHint": self.reads, "openWorldHint": False},
        }


TOOLS = (
    Tool("list_chats", ListChats),
    Tool("search_chats", SearchChats),
    Tool("read_chat", ReadChat),
    Tool("list_models", ListModels),
    Tool("ask", Ask),
    Tool("load_model", LoadModel, "manage", reads=False),
    Tool("unload_model", UnloadModel, "manage", reads=False),
)
_SHOWN = ("id", "name", "default", "status", "context_length", "tools", "thinks", "embeds", "size")
"""Of a model's summary."""


def offered(caller: Caller) -> list[Tool]:
    """The tools that a caller may use."""
    return [tool for tool in TOOLS if caller.may(tool.scope)]


def find(caller: Caller, name: object) -> Tool:
    """The tool of that name.

    Raises:
        RpcFault: there is none, or it takes a key with another scope.
    """
    tool = next((tool for tool in TOOLS if tool.name == name), None)
    if tool is None:
        raise RpcFault(BAD_PARAMS, f"there is no tool {name!a}")
    if not caller.may(tool.scope):
        raise RpcFault(BAD_PARAMS, f"{tool.name} needs a key with the scope {tool.scope}")
    return tool


def read_arguments(tool: Tool, arguments: object) -> Body:
    """What a call has for arguments.

    Raises:
        RequestError: they are not those of the tool; `param` names one.
    """
    try:
        return msgspec.convert({} if arguments is None else arguments, tool.takes)
    except msgspec.ValidationError as ex:
        field = ValidationFault.parse(str(ex)).field
        raise RequestError(str(ex), param=field) from ex


class ToolBox:
    """All tools but `ask`, which writes for a while. Any thread may call."""

    def __init__(
        self, sessions: Sessions, search: Search, pool: Pool, models: ModelsResource
    ) -> None:
        self._sessions = sessions
        self._search = search
        self._pool = pool
        self._models = models
        self._calls: dict[type[Body], Callable[[Any], dict[str, Any]]] = {
            ListChats: self._list_chats,
            SearchChats: self._search_chats,
            ReadChat: self._read_chat,
            ListModels: self._list_models,
            LoadModel: self._load,
            UnloadModel: self._unload,
        }

    def call(self, arguments: Body) -> dict[str, Any]:
        """What a tool gives.

        Raises:
            ApplianceError: it gives nothing.
        """
        return self._calls[type(arguments)](arguments)

    def _list_chats(self, asked: ListChats) -> dict[str, Any]:
        chats = self._sessions.list()
        page = chats[asked.offset : asked.offset + asked.limit]
        return tool_result(
            {
                "chats": [
                    {"id": it.id, "title": it.title, "updated_at": it.updated_at} for it in page
                ],
                "more": asked.offset + asked.limit < len(chats),
            }
        )

    def _search_chats(self, asked: SearchChats) -> dict[str, Any]:
        return tool_result(self._search.find(asked.query, asked.limit, asked.offset))

    def _read_chat(self, asked: ReadChat) -> dict[str, Any]:
        chat = self._sessions.get(asked.chat_id)
        branch = self._sessions.path(chat.id, chat.leaf_id) if chat.leaf_id else []
        page = branch[asked.offset : asked.offset + asked.limit]
        return tool_result(
            {
                "id": chat.id,
                "title": chat.title,
                "messages": [{"role": it.role, "content": it.content} for it in page],
                "more": asked.offset + asked.limit < len(branch),
            }
        )

    def _list_models(self, asked: ListModels) -> dict[str, Any]:
        found = msgspec.to_builtins(self._models.offered())
        return tool_result({"models": [{name: one[name] for name in _SHOWN} for one in found]})

    def _load(self, asked: LoadModel) -> dict[str, Any]:
        model = self._pool.find(asked.model)
        model.load()
        return tool_result({"id": model.id, "status": model.state.status})

    def _unload(self, asked: UnloadModel) -> dict[str, Any]:
        model = self._pool.find(asked.model)
        model.unload()
        return tool_result({"id": model.id, "status": model.state.status})
