"""Responses that outlive their connections and the appliance, with OpenAI's own client."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.clients.scripted import call, openai_client, serving_scripted, thought
from tests.running import Running

SECONDS = 60


@pytest.fixture(scope="module")
def client(scripted: Running) -> Iterator[openai.OpenAI]:
    with openai_client(scripted) as client:
        yield client


def ended(client: openai.OpenAI, id: str) -> Any:
    """The response, once it has ended."""
    deadline = time.monotonic() + SECONDS
    while (found := client.responses.retrieve(id)).status == "in_progress":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def numbered(events: list[Any]) -> list[tuple[int, str]]:
    """Their numbers, and what they are; of deltas, what they say."""
    return [(it.sequence_number, getattr(it, "delta", it.type)) for it in events]


def test_what_was_being_written_at_a_kill_is_fetched_whole(tmp_path: Path) -> None:
    appliance = next(
        serving_scripted(
            tmp_path, FAKE_STEP_SECONDS="0.004", APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS="2000"
        )
    )
    text = "".join(f"{number} " for number in range(200))
    with openai_client(appliance) as client:
        kept = client.responses.create(model="fake", input="echo:Kept.")
        script = "echo:" + thought("Hm.", text + call("get_weather", city="Rome" * 40))
        tool: Any = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
        fields: Any = {"model": "fake", "input": script, "tools": [tool]}
        behind = client.responses.create(**fields, background=True)
        seen: list[Any] = []
        stream = client.responses.create(**fields, background=True, stream=True)
        in_front = client.responses.create(**fields, stream=True)
        first: Any = next(in_front)
        for event in stream:
            seen.append(event)
            if sum("delta" in it.type for it in seen) > 20:
                break
        appliance.kill()
        in_front.close()
        stream.close()
        appliance.start()
        assert client.responses.retrieve(kept.id) == kept
        with pytest.raises(openai.BadRequestError, match="still in progress"):
            client.responses.create(model="fake", input="Hi", previous_response_id=behind.id)
        rest = list(
            client.responses.retrieve(
                seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number
            )
        )
        whole = [*seen, *rest]
        assert [it.sequence_number for it in whole] == list(range(len(whole)))
        assert whole[-1].type == "response.completed"
        written = "".join(it.delta for it in whole if it.type == "response.output_text.delta")
        assert written.strip() == text.strip()
        for id in (behind.id, seen[0].response.id, first.response.id):
            found = ended(client, id)
            assert (found.status, found.output_text.strip()) == ("completed", text.strip())
            assert [it.type for it in found.output] == ["reasoning", "message", "function_call"]
            assert "Rome" * 40 in found.output[2].arguments
        # And once more from the start, after it has ended and the appliance has been stopped.
        assert appliance.stop() == 0
        appliance.start()
        again = list(client.responses.retrieve(seen[0].response.id, stream=True))
        assert numbered(again) == numbered(whole)
        assert again[-1].to_dict() == whole[-1].to_dict()
        second = client.responses.create(
            model="fake", input="echo:On.", previous_response_id=behind.id
        )
        assert second.output_text == "On."
    assert appliance.stop() == 0


def test_a_stop_interrupts_what_is_in_the_background_only(tmp_path: Path) -> None:
    appliance = next(
        serving_scripted(
            tmp_path, FAKE_STEP_SECONDS="0.02", APPLIANCE_SERVER_SHUTDOWN_GRACE_SECONDS="0.2"
        )
    )
    with openai_client(appliance) as client:
        behind = client.responses.create(model="fake", input="echo:" + "x" * 300, background=True)
        in_front = client.responses.create(model="fake", input="echo:" + "y" * 2000, stream=True)
        first: Any = next(in_front)
        stopped = client.responses.create(model="fake", input="echo:" + "z" * 2000, background=True)
        assert client.responses.cancel(stopped.id).status == "cancelled"
        assert appliance.stop() == 0
        appliance.start()
        assert ended(client, behind.id).output_text == "x" * 300
        assert client.responses.retrieve(first.response.id).status in ("failed", "cancelled")
        assert client.responses.retrieve(stopped.id).status == "cancelled"
    assert appliance.stop() == 0


def test_a_stream_in_the_background_is_read_by_several(client: openai.OpenAI) -> None:
    text = "".join(f"word{number} " for number in range(50))
    with client.responses.create(
        model="fake", input=f"echo:{text}", background=True, stream=True
    ) as stream:
        first: Any = next(iter(stream))
        id = first.response.id
    # Its client has gone, and it goes on.
    whole = list(client.responses.retrieve(id, stream=True))
    part = list(client.responses.retrieve(id, stream=True, starting_after=4))
    assert numbered(part) == numbered(whole)[5:]
    last: Any = whole[-1]
    assert last.response.output_text.strip() == text.strip()
    assert list(client.responses.retrieve(id, stream=True, starting_after=10**6)) == []
    plain = client.responses.create(model="fake", input="echo:Hi")
    with pytest.raises(openai.BadRequestError, match="background and stream"):
        client.responses.retrieve(plain.id, stream=True)


def test_nothing_of_what_is_not_kept_is_on_the_disk(tmp_path: Path) -> None:
    appliance = next(serving_scripted(tmp_path))
    word = "periwinkle"
    with openai_client(appliance) as client:
        client.responses.create(model="fake", input=f"echo:{word}", store=False)
        list(client.responses.create(model="fake", input=f"echo:{word}", store=False, stream=True))
        made = client.responses.create(
            model="fake", input=f"echo:{word}", background=True, stream=True
        )
        ids = [event.response.id for event in made if event.type == "response.completed"]
        client.responses.delete(ids[0])
        for file in (it for it in tmp_path.rglob("*") if it.is_file()):
            assert word.encode() not in file.read_bytes(), file
    assert appliance.stop() == 0


def test_input_items_come_in_pages(client: openai.OpenAI) -> None:
    items: Any = [{"role": "user", "content": f"echo:{number}"} for number in range(45)]
    made = client.responses.create(model="fake", input=items)
    listed = list(client.responses.input_items.list(made.id, order="asc", limit=20))
    parts: list[Any] = [it.to_dict()["content"] for it in listed]
    assert [part["text"] for (part,) in parts] == [it["content"] for it in items]
    newest = client.responses.input_items.list(made.id, limit=10)
    assert [it.id for it in newest.data] == [it.id for it in listed[:-11:-1]]
    assert newest.has_more


def test_items_are_referred_to_by_their_ids(client: openai.OpenAI) -> None:
    first = client.responses.create(model="fake", input="echo:One.")
    (asked,) = client.responses.input_items.list(first.id).data
    answered = first.output[0]
    refer: Any = [{"type": "item_reference", "id": id} for id in (asked.id, answered.id, "msg_x")]
    second = client.responses.create(
        model="fake", input=[*refer, {"role": "user", "content": "echo:Two."}]
    )
    other = client.responses.create(model="fake", input="echo:Two.", previous_response_id=first.id)
    assert second.output_text == "Two."
    assert second.usage
    assert other.usage
    assert second.usage.input_tokens == other.usage.input_tokens


def test_a_conversation_is_made_shorter(client: openai.OpenAI) -> None:
    first = client.responses.create(model="fake", input="echo:One.")
    short: Any = client.responses.compact(
        model="fake", input="Go on. echo:They counted.", previous_response_id=first.id
    )
    assert [it.type for it in short.output] == ["message", "compaction"]
    summary = short.output[-1].encrypted_content
    assert summary.startswith("plain:They counted.")
    assert short.usage.output_tokens > 0
    on = client.responses.create(
        model="fake",
        input=[
            *(it.to_dict(mode="json", warnings=False) for it in short.output),
            {"role": "user", "content": "echo:Two."},
        ],
    )
    assert on.output_text == "Two."
    foreign: Any = [{"type": "compaction", "encrypted_content": "gAAAA"}]
    with pytest.raises(openai.BadRequestError, match=r"input\[0\].encrypted_content"):
        client.responses.create(model="fake", input=foreign)


def test_logprobs_and_summaries(client: openai.OpenAI) -> None:
    made = client.responses.create(
        model="fake", input="echo:Hi", include=["message.output_text.logprobs"], top_logprobs=2
    )
    message: Any = made.output[0]
    probabilities = message.content[0].logprobs
    assert "".join(it.token for it in probabilities) == "Hi"
    assert all(len(it.top_logprobs) == 2 for it in probabilities)
    assert made.top_logprobs == 2
    events = list(
        client.responses.create(
            model="fake",
            input="echo:Hi",
            include=["message.output_text.logprobs"],
            stream=True,
            store=False,
        )
    )
    deltas = [it for it in events if it.type == "response.output_text.delta"]
    assert "".join(it.token for event in deltas for it in event.logprobs) == "Hi"

    script = "echo:" + thought("Let me see.", "Yes.")
    with client.responses.stream(
        model="fake",
        input=script,
        reasoning={"summary": "auto"},
        include=["reasoning.encrypted_content"],
        store=False,
    ) as stream:
        names = [event.type for event in stream]
        found = stream.get_final_response()
    assert "response.reasoning_summary_text.delta" in names
    assert "response.reasoning_text.delta" not in names
    reasoning: Any = found.output[0]
    assert reasoning.summary[0].text.strip() == "Let me see."
    assert reasoning.encrypted_content.startswith("plain:")
    # Sent back as clients do that keep nothing but what is encrypted.
    sent: Any = [
        {"role": "user", "content": script},
        {**reasoning.to_dict(), "summary": [], "content": None},
        found.output[1].to_dict(),
        {"role": "user", "content": "echo:On."},
    ]
    whole: Any = [sent[0], reasoning.to_dict(), *sent[2:]]
    counts = [
        client.responses.input_tokens.count(model="fake", input=it).input_tokens
        for it in (sent, whole)
    ]
    assert counts[0] == counts[1]
