"""`new WebSocket` in a real browser: both protocols, clean closes, and no foreign origins."""

import pytest
from playwright.sync_api import Page

from tests.running import Running

PLAIN = """
async ([address, body]) => await new Promise((resolve) => {
  const socket = new WebSocket(address);
  const frames = [];
  socket.onopen = () => socket.send(JSON.stringify(body));
  socket.onmessage = (event) => frames.push(event.data);
  socket.onclose = ({ code, wasClean }) => resolve({ frames, code, wasClean });
})
"""

EVENTS = """
async ([address, turns]) => await new Promise((resolve) => {
  const socket = new WebSocket(address, ["appliance.v1"]);
  const events = [];
  socket.onopen = () => socket.send(JSON.stringify({ type: "turn", ...turns.shift() }));
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    events.push(event);
    if (event.type !== "done" && event.type !== "error") return;
    if (turns.length > 0) socket.send(JSON.stringify({ type: "turn", ...turns.shift() }));
    else socket.close(1000, "done");
  };
  socket.onclose = ({ code, wasClean }) =>
    resolve({ events, code, wasClean, protocol: socket.protocol });
})
"""


@pytest.fixture
def address(running: Running) -> str:
    return running.url.replace("http://", "ws://") + "/chat/ws"


def test_a_plain_socket_receives_a_frame_for_each_token(
    page: Page, running: Running, address: str
) -> None:
    page.goto(running.url + "/health")
    body = {"prompt": "What is bread?", "max_token": 12, "temperature": 0}
    result = page.evaluate(PLAIN, [address + "?session_id=from-a-browser", body])
    assert (result["code"], result["wasClean"]) == (1000, True)
    assert len(result["frames"]) >= 10
    history = page.evaluate(
        "async () => await (await fetch('/chat/history/from-a-browser')).json()"
    )
    assert history[-1] == {"role": "assistant", "content": "".join(result["frames"])}
    refused = page.evaluate(PLAIN, [address, {"prompt": "Hi", "model-name": "nobody"}])
    assert refused["frames"][0].startswith("__ERROR__:")
    assert (refused["code"], refused["wasClean"]) == (1000, True)


def test_a_socket_of_events_serves_one_turn_after_the_other(
    page: Page, running: Running, address: str
) -> None:
    page.goto(running.url + "/health")
    session = page.evaluate(
        """async () => await (await fetch("/api/sessions", {
          method: "POST", headers: { "Content-Type": "application/json" }, body: "{}",
        })).json()"""
    )
    turn = {"session_id": session["id"], "content": "What is bread?", "max_tokens": 8}
    result = page.evaluate(EVENTS, [address, [turn, turn]])
    assert result["protocol"] == "appliance.v1"
    assert (result["code"], result["wasClean"]) == (1000, True)
    kinds = [event["type"] for event in result["events"]]
    assert kinds.count("done") == 2
    assert {"turn", "accepted", "delta", "usage"} <= set(kinds)
    for event in result["events"]:
        assert event["session_id"] == session["id"]


def test_a_page_of_another_origin_gets_no_socket(
    page: Page, running: Running, address: str
) -> None:
    page.goto("about:blank")  # its origin is `null`
    result = page.evaluate(PLAIN, [address, {"prompt": "Hi"}])
    assert result == {"frames": [], "code": 1006, "wasClean": False}
