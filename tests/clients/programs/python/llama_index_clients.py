"""LlamaIndex: OpenAILike (with its embeddings) and Ollama."""

from functools import partial

from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.ollama import Ollama
from llama_index.llms.openai_like import OpenAILike
from report import (
    CHAT,
    EMBEDDINGS,
    FAKE,
    HELLO,
    KEY,
    OLLAMA,
    REAL,
    REAL_URL,
    URL,
    asked_for_call,
    equal,
    get_weather,
    report,
)

MODELS = {
    "openai": OpenAILike(
        model=FAKE,
        api_base=f"{URL}/v1",
        api_key=KEY,
        is_chat_model=True,
        is_function_calling_model=True,
    ),
    "ollama": Ollama(model=FAKE, base_url=URL, request_timeout=60),
}


def chat(kind: str) -> None:
    equal(MODELS[kind].complete(HELLO).text, "Hello there")


def stream(kind: str) -> None:
    equal("".join(piece.delta for piece in MODELS[kind].stream_complete(HELLO)), "Hello there")


def tool(kind: str) -> None:
    found = MODELS[kind].chat_with_tools(
        [FunctionTool.from_defaults(get_weather)], user_msg=asked_for_call()
    )
    (call,) = MODELS[kind].get_tool_calls_from_response(found)
    equal((call.tool_name, call.tool_kwargs), ("get_weather", {"city": "Oslo"}))


def embeddings() -> None:
    model = OpenAILikeEmbedding(model_name=REAL, api_base=f"{REAL_URL}/v1", api_key=KEY)
    assert len(model.get_text_embedding("Hello")) > 100


for kind, api in (("openai", CHAT), ("ollama", OLLAMA)):
    report(api, chat=partial(chat, kind), stream=partial(stream, kind), tool=partial(tool, kind))
report(EMBEDDINGS, embeddings=embeddings)
