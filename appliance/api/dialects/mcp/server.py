"""`/mcp`: streamable HTTP without sessions. Each request stands for itself, and its answer is JSON,
or a stream where a model writes it."""

from collections.abc import Callable
from typing import Any

import falcon

from appliance.api.dialects.mcp.encoder import AskEncoder
from appliance.api.dialects.mcp.messages import (
    BAD_PARAMS,
    NO_METHOD,
    OTHER_VERSION,
    VERSIONS,
    RpcAnswer,
    RpcFault,
    RpcMessage,
    RpcNotification,
    rpc_error,
    tool_text,
)
from appliance.api.dialects.mcp.tools import Ask, Tool, ToolBox, find, offered, read_arguments
from appliance.api.generation.request import Generation
from appliance.api.generation.sampling import with_defaults
from appliance.api.openapi.operation import Operations
from appliance.api.wire import streams
from appliance.api.wire.bodies import check_length
from appliance.api.wire.lenient import decode_lenient
from appliance.auth.keys.scopes import Caller
from appliance.config.schema import LimitsSettings
from appliance.engine.serving.pool import Pool
from appliance.engine.types import ChatMessage, ChatPrompt, GenerationRequest
from appliance.errors import ApplianceError

operation = Operations("Model Context Protocol")

ABOUT = (
    "Stored chats and local language models of this machine. Search or list chats before you read"
    " one; ask has a local model answer a prompt."
)


class Mcp:
    """`/mcp`"""

    error_format = staticmethod(rpc_error)

    def __init__(
        self,
        tools: ToolBox,
        pool: Pool,
        limits: LimitsSettings,
        version: str,
        count: Callable[[Caller], object],
    ) -> None:
        """`count`: counts a request to a model towards its caller's rate; raises if there were too
        many."""
        self._tools = tools
        self._pool = pool
        self._version = version
        self._max_tokens = limits.max_response_tokens
        self._max_prompt_length = limits.max_prompt_length
        self._count = count

    @operation(
        takes=RpcMessage,
        gives=RpcAnswer,
        streams={"message": (RpcNotification, RpcAnswer)},
        also={202: None},
        error=RpcAnswer,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A message of a client; 202 if it wants no answer."""
        message, _ = decode_lenient(req, RpcMessage)
        if message.id is None or message.method is None:
            resp.status = falcon.HTTP_202
            return
        try:
            _check_version(req)
            if message.method == "tools/call":
                self._call(req, resp, message.id, message.params or {})
                return
            result = self._result(req.context.caller, message.method, message.params or {})
            resp.media = RpcAnswer(id=message.id, result=result)
        except RpcFault as fault:
            resp.media = RpcAnswer(id=message.id, error=fault.error)

    def _result(self, caller: Caller, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "initialize":
                wanted = params.get("protocolVersion")
                return {
                    "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[-1],
                    "capabilities": {"tools": {}},
                    "serverInfo": {
                        "name": "appliance",
                        "title": "Local AI appliance",
                        "version": self._version,
                    },
                    "instructions": ABOUT,
                }
            case "ping":
                return {}
            case "tools/list":
                return {"tools": [tool.listed() for tool in offered(caller)]}
        raise RpcFault(NO_METHOD, f"there is no method {method[:100]!a}")

    def _call(
        self, req: falcon.Request, resp: falcon.Response, id: int | str, params: dict[str, Any]
    ) -> None:
        caller: Caller = req.context.caller
        tool: Tool = find(caller, params.get("name"))
        try:
            arguments = read_arguments(tool, params.get("arguments"))
            if isinstance(arguments, Ask):
                self._ask(req, resp, AskEncoder(id, _progress_token(params)), arguments)
                return
            result = self._tools.call(arguments)
        except ApplianceError as ex:
            result = tool_text(ex.message, is_error=True)
        resp.media = RpcAnswer(id=id, result=result)

    def _ask(
        self, req: falcon.Request, resp: falcon.Response, encoder: AskEncoder, asked: Ask
    ) -> None:
        caller: Caller = req.context.caller
        self._count(caller)
        check_length("prompt", len(asked.prompt) + len(asked.system or ""), self._max_prompt_length)
        model = self._pool.find(asked.model)
        messages = [ChatMessage("system", asked.system)] if asked.system else []
        messages.append(ChatMessage("user", asked.prompt))
        request = GenerationRequest(
            prompt=ChatPrompt(messages, parse_output=True),
            sampling=with_defaults({}, asked.max_tokens, self._max_tokens, model.spec.sampling),
            owner=caller.owner,
            caller=caller.key_name,
        )
        generation = Generation(model, [request])
        if streams.MEDIA_TYPE.partition(";")[0] in (req.get_header("Accept") or ""):
            streams.send(req, resp, generation.stream(encoder))
        else:
            resp.media = generation.run(encoder, req.env["appliance.on_disconnect"])


def _check_version(req: falcon.Request) -> None:
    version = req.get_header("MCP-Protocol-Version")
    if version is not None and version not in VERSIONS:
        data = {"supported": list(VERSIONS), "requested": version[:64]}
        raise RpcFault(OTHER_VERSION, "this version of the protocol is not spoken here", data)


def _progress_token(params: dict[str, Any]) -> int | str | None:
    meta = params.get("_meta")
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    if token is not None and not isinstance(token, int | str):
        raise RpcFault(BAD_PARAMS, "_meta.progressToken needs a text or a number")
    return token
