"""LangChain: ChatOpenAI (Chat Completions and Responses), ChatAnthropic, ChatOllama, an agent."""

from functools import partial
from typing import Any

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from report import (
    ANSWER,
    ANTHROPIC,
    CHAT,
    EMBEDDINGS,
    FAKE,
    HELLO,
    KEY,
    OLLAMA,
    REAL,
    REAL_URL,
    RESPONSES,
    URL,
    WHO,
    Person,
    asked_for_call,
    equal,
    get_weather,
    report,
)


def models(kind: str, url: str = URL, model: str = FAKE) -> Any:
    """One of the four ways to a model."""
    if kind == "anthropic":
        return ChatAnthropic(model=model, base_url=url, api_key=KEY, max_tokens=200)
    if kind == "ollama":
        return ChatOllama(model=model, base_url=url)
    return ChatOpenAI(
        model=model, base_url=f"{url}/v1", api_key=KEY, use_responses_api=kind == "responses"
    )


def text(message: Any) -> str:
    """A message's text, whether its content is a text or blocks."""
    return str(message.text)


def chat(kind: str) -> None:
    equal(text(models(kind).invoke(HELLO)), "Hello there")


def stream(kind: str) -> None:
    equal("".join(text(chunk) for chunk in models(kind).stream(HELLO)), "Hello there")


def agent(kind: str) -> None:
    worker = create_agent(models(kind), [get_weather])
    state = worker.invoke({"messages": [("user", asked_for_call())]})
    equal(text(state["messages"][-1]), ANSWER)
    equal(state["messages"][1].tool_calls[0]["args"], {"city": "Oslo"})


def schema(kind: str) -> None:
    model = models(kind, REAL_URL, REAL)
    method = "function_calling" if kind == "anthropic" else "json_schema"
    assert isinstance(model.with_structured_output(Person, method=method).invoke(WHO), Person)


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def call_or_schema() -> None:
    model = models("chat", REAL_URL, REAL).with_structured_output(
        Person, method="json_schema", tools=[add], include_raw=True, strict=True
    )
    found = model.invoke(WHO)
    if calls := found["raw"].tool_calls:
        assert all(isinstance(value, int) for call in calls for value in call["args"].values())
    else:
        assert isinstance(found["parsed"], Person)


def embeddings() -> None:
    ours = OpenAIEmbeddings(
        model=REAL, base_url=f"{REAL_URL}/v1", api_key=KEY, check_embedding_ctx_length=False
    )
    theirs = OllamaEmbeddings(model=REAL, base_url=REAL_URL)
    first, second = ours.embed_documents(["Hello", "Goodbye"])
    assert first != second
    assert all(abs(a - b) < 1e-4 for a, b in zip(first, theirs.embed_query("Hello"), strict=True))


def real_model() -> None:
    model = ChatOpenAI(model=REAL, base_url=f"{REAL_URL}/v1", api_key=KEY, max_tokens=20)
    answer = model.invoke("Say hello.")
    assert text(answer)
    assert answer.usage_metadata["output_tokens"] <= 20


for kind, api in (
    ("chat", CHAT),
    ("responses", RESPONSES),
    ("anthropic", ANTHROPIC),
    ("ollama", OLLAMA),
):
    report(
        api,
        chat=partial(chat, kind),
        stream=partial(stream, kind),
        agent=partial(agent, kind),
        schema=partial(schema, kind),
    )
report(CHAT, call_or_schema=call_or_schema, real_model=real_model)
report(EMBEDDINGS, embeddings=embeddings)
