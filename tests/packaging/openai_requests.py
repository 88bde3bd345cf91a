"""Requests to an installed appliance, with the official client."""

import httpx
from openai import OpenAI
from openai.types.chat import ChatCompletion


def ready(url: str) -> bool:
    """Whether a service is running and its model is ready."""
    try:
        return httpx.get(f"{url}/readiness", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def ask(url: str, model: str = "smollm2-135m-instruct") -> ChatCompletion:
    """Ask a question; the reply, which must not be empty."""
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        response = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "What is the capital of France?"}],
            temperature=0,
            max_tokens=12,
        )
    assert response.choices[0].message.content
    return response


def begin_chat(url: str, tokens: int) -> str:
    """Start a chat whose reply is still being written; its session."""
    settings = {"settings": {"max_tokens": tokens}}
    session: str = httpx.post(f"{url}/api/sessions", json=settings).json()["id"]
    question = {"content": "Tell me a very long story about the sea."}
    path = f"{url}/api/sessions/{session}/turns"
    with httpx.stream("POST", path, json=question, timeout=120) as reply:
        assert reply.status_code == 200
        next(line for line in reply.iter_lines() if "delta" in line)
    return session


def chat(url: str) -> str:
    """Create a stored chat; its session."""
    session: str = httpx.post(f"{url}/api/sessions", json={}).json()["id"]
    turn = httpx.post(
        f"{url}/api/sessions/{session}/turns", json={"content": "Hello!"}, timeout=120
    )
    assert turn.status_code == 200
    return session


def kept(url: str, session: str) -> bool:
    """Whether that chat is stored completely."""
    found = httpx.get(f"{url}/api/sessions/{session}/messages").json()["messages"]
    return [one["role"] for one in found] == ["user", "assistant"] and (
        found[1]["status"] == "complete" and bool(found[1]["content"])
    )
