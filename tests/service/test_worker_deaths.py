"""The model's worker is killed repeatedly while eight streams run: four chats and four stateless
requests. Every stream ends, and its text is complete."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.api.chat.chats import messages, new_session
from tests.api.sse import events
from tests.running import Running

PROMPT = "Tell me a long story about a miller and {}."
TOPICS = ("the sea", "winter", "trains", "bread", "the moon", "a king", "rivers", "salt")


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path).start()
    yield running
    assert running.stop() == 0


class Stream(threading.Thread):
    """One reply, followed to its end."""

    def __init__(self, appliance: Running, topic: str, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.appliance = appliance
        self.prompt = PROMPT.format(topic)
        self.begun = threading.Event()
        self.problem = "it did not end"
        self.start()

    def run(self) -> None:
        try:
            self.follow()
            self.problem = ""
        except Exception as ex:  # noqa: BLE001 - raised again by join
            self.problem = f"{type(ex).__name__}: {ex}"

    def follow(self) -> None:
        raise NotImplementedError


class Chat(Stream):
    def follow(self) -> None:
        session = new_session(self.appliance)
        body = {"content": self.prompt, "max_tokens": self.tokens, "ignore_eos": True}
        text = ""
        with httpx.stream("POST", session + "/turns", json=body, timeout=1200) as response:
            for name, data in events(response):
                if name == "delta":
                    self.begun.set()
                    text += data["text"]
        assert name == "done", data
        assert data["message"]["usage"]["completion_tokens"] == self.tokens
        reply = messages(session)[-1]
        assert (reply["status"], reply["content"]) == ("complete", text)


class Stateless(Stream):
    def follow(self) -> None:
        body = {
            "messages": [{"role": "user", "content": self.prompt}],
            "max_tokens": self.tokens,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
            "logprobs": True,
        }
        text, usage = "", None
        logprobs: list[dict[str, Any]] = []
        reasons: list[str] = []
        address = self.appliance.url + "/v1/chat/completions"
        with httpx.stream("POST", address, json=body, timeout=1200) as response:
            for _, data in events(response):
                if data == "[DONE]":
                    break
                assert "error" not in data, data
                usage = data.get("usage") or usage
                for choice in data["choices"]:
                    text += choice["delta"].get("content") or ""
                    logprobs += (choice.get("logprobs") or {}).get("content") or []
                    reasons += [choice["finish_reason"]] if choice["finish_reason"] else []
                    if text:
                        self.begun.set()
        assert reasons == ["length"]
        assert usage
        assert usage["completion_tokens"] == len(logprobs) == self.tokens
        raw = b"".join(bytes(token["bytes"]) for token in logprobs)
        assert raw.decode(errors="ignore").startswith(text)
        assert len(raw) - len(text.encode()) < 4  # except an incomplete character


def kill_under_streams(appliance: Running, kills: int, tokens: int, chance: random.Random) -> None:
    done = 0
    while done < kills:
        streams: list[Stream] = [
            (Chat if number % 2 else Stateless)(appliance, topic, tokens)
            for number, topic in enumerate(TOPICS)
        ]
        while done < kills and any(stream.is_alive() for stream in streams):
            # Some during the prefill, some during the reply.
            time.sleep(chance.random() * 3)
            appliance.wait_ready()
            begun = any(stream.is_alive() and stream.begun.is_set() for stream in streams)
            # Right after a kill the old worker may be gone without having been noticed.
            if begun and (workers := psutil.Process(appliance.pid).children()):
                workers[0].kill()
                done += 1
        for stream in streams:
            stream.join(1200)
            assert not stream.problem


def status(appliance: Running) -> Any:
    return httpx.get(appliance.url + "/api/status").json()


def test_every_stream_is_whole_when_workers_are_killed(appliance: Running) -> None:
    kill_under_streams(appliance, 2, 30, random.Random(1))


@pytest.mark.soak
def test_every_stream_is_whole_under_a_hundred_kills(appliance: Running) -> None:
    kill_under_streams(appliance, 100, 80, random.Random(2))
    assert status(appliance)["models"][0]["state"] == "ready"
