"""The Model Context Protocol, with its official client."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import httpx2
import pytest
from mcp import ClientSession
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from tests.clients.scripted import serving_scripted
from tests.running import Running

Work = Callable[[ClientSession], Awaitable[Any]]
READ = ["list_chats", "search_chats", "read_chat", "list_models", "ask"]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance that asks everybody for a key."""
    yield from serving_scripted(
        tmp_path_factory.mktemp("locked"),
        APPLIANCE_SECURITY_ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
    )


def in_a_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """What it returns. Playwright keeps a loop of its own running in the thread of the tests."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def connected(appliance: Running, work: Work, key: str = "none") -> Any:
    """What `work` returns, with an initialized session."""

    async def run() -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            streamable_http_client(f"{appliance.url}/mcp", http_client=http) as streams,
            ClientSession(streams[0], streams[1]) as session,
        ):
            await session.initialize()
            return await work(session)

    return in_a_thread(run())


def call(appliance: Running, name: str, key: str = "none", **arguments: Any) -> Any:
    """The result of a tool."""
    return connected(appliance, lambda it: it.call_tool(name, arguments), key)


def test_the_tools_of_each_scope(locked: Running) -> None:
    for scope, more in (("chat", []), ("manage", ["load_model", "unload_model"])):
        key = locked.make_key(scope, "--scope", scope)
        listed = connected(locked, lambda it: it.list_tools(), key)
        assert [tool.name for tool in listed.tools] == [*READ, *more]
        assert all(tool.description and tool.input_schema for tool in listed.tools)

    async def unload(session: ClientSession) -> None:
        with pytest.raises(MCPError, match="needs a key with the scope manage"):
            await session.call_tool("unload_model", {"model": "fake"})

    connected(locked, unload, locked.make_key("other"))
    response = httpx.post(f"{locked.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_chats_are_listed_found_and_read(scripted: Running) -> None:
    with httpx.Client(base_url=scripted.url, timeout=60) as http:
        chat = http.post("/api/sessions", json={"title": "Geese"}).json()
        for text in ("echo:Geese fly south.", "echo:In autumn."):
            http.post(f"/api/sessions/{chat['id']}/turns", json={"content": text})
    listed = call(scripted, "list_chats").structured_content
    assert chat["id"] in [it["id"] for it in listed["chats"]]
    found = call(scripted, "search_chats", query="geese fly").structured_content
    assert {hit["session_id"] for hit in found["hits"]} == {chat["id"]}
    result = call(scripted, "read_chat", chat_id=chat["id"], limit=3)
    read = result.structured_content
    assert [it["role"] for it in read["messages"]] == ["user", "assistant", "user"]
    assert read["messages"][1]["content"] == "Geese fly south."
    assert (read["title"], read["more"]) == ("Geese", True)
    assert json.loads(result.content[0].text) == read
    rest = call(scripted, "read_chat", chat_id=chat["id"], offset=3).structured_content
    assert [it["content"] for it in rest["messages"]] == ["In autumn."]
    for arguments, wrong in (
        ({"chat_id": "nothing"}, "no session"),
        ({}, "chat_id"),
        ({"chat_id": chat["id"], "limit": 0}, "limit"),
    ):
        refused = call(scripted, "read_chat", **arguments)
        assert refused.is_error
        assert wrong in refused.content[0].text


def test_models(locked: Running) -> None:
    key = locked.make_key("models", "--scope", "manage")
    (model,) = call(locked, "list_models", key).structured_content["models"]
    assert (model["id"], model["default"]) == ("fake", True)
    assert call(locked, "unload_model", key, model="fake").structured_content["id"] == "fake"
    call(locked, "load_model", key, model="fake")
    assert call(locked, "ask", key, prompt="echo:Back.").content[0].text == "Back."


def test_a_model_answers_and_reports_its_progress(scripted: Running) -> None:
    seen: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert (total, message) == (None, None)
        seen.append(progress)

    async def ask(session: ClientSession) -> Any:
        arguments = {"prompt": "echo:Hello there.", "system": "Be brief.", "max_tokens": 50}
        return await session.call_tool("ask", arguments, progress_callback=note)

    assert connected(scripted, ask).content[0].text == "Hello there."
    assert seen == sorted(seen) != []
    cut = call(scripted, "ask", prompt="echo:Hello there.", max_tokens=5)
    assert cut.content[0].text == "Hello"
    refused = call(scripted, "ask", prompt="echo:Hi", model="nothing")
    assert refused.is_error
    assert "no model 'nothing'" in refused.content[0].text


def test_a_client_of_a_newer_protocol_begins_as_an_older_one(scripted: Running) -> None:
    async def run() -> Any:
        async with Client(f"{scripted.url}/mcp") as client:
            return await client.call_tool("ask", {"prompt": "echo:Hi"})

    assert in_a_thread(run()).content[0].text == "Hi"


def test_what_is_no_request_of_the_protocol(scripted: Running) -> None:
    address = f"{scripted.url}/mcp"
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert httpx.post(address, json=note).status_code == 202
    unknown = httpx.post(address, json={"jsonrpc": "2.0", "id": "a", "method": "x/y"})
    assert unknown.json()["id"] == "a"
    assert unknown.json()["error"]["code"] == -32601
    for body in (b"{", b"[]", b'{"jsonrpc": "1.0"}', b'{"id": {}}'):
        refused = httpx.post(address, content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == -32600
    for method in ("GET", "DELETE"):  # no stream of its own, and no sessions
        assert httpx.request(method, address).status_code == 405
    foreign = httpx.post(address, json=note, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    rebound = httpx.post(address, json=note, headers={"Host": "evil.example"})
    assert rebound.status_code == 421
    plain = httpx.post(
        address,
        json={
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "ask", "arguments": {"prompt": "echo:Hi"}},
        },
        headers={"Accept": "application/json"},
    )
    assert plain.json()["result"]["content"][0]["text"] == "Hi"
