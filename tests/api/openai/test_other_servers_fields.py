"""What clients of other servers of OpenAI's API send, at any depth, is taken; a header names what
was ignored."""

from typing import Any

import httpx
import pytest

from tests.running import Running

USER: dict[str, Any] = {"role": "user", "content": "Hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


def tool(name: str = "look", **more: Any) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object"}},
        **more,
    }


# What is sent, and what the warning has; None: there is none.
TAKEN: dict[str, tuple[dict[str, Any], str | None]] = {
    "cache_prompt": ({"cache_prompt": True}, None),
    "num_ctx": ({"num_ctx": 4096}, "num_ctx"),
    "Ollama's options": ({"options": {"num_ctx": 4096}}, "options"),
    "chat_template_kwargs": ({"chat_template_kwargs": {"enable_thinking": False}}, None),
    "enable_thinking": ({"enable_thinking": False}, None),
    "think": ({"think": False}, None),
    "keep_alive": ({"keep_alive": "-1"}, None),
    "ttl": ({"ttl": -1}, None),
    "a message's id": ({"messages": [{**USER, "id": "m1"}]}, "messages[].id"),
    "reasoning": (
        {"messages": [USER, {"role": "assistant", "content": "Yes", "reasoning": "So"}, USER]},
        None,
    ),
    "cache_control of a part": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
                    ],
                }
            ]
        },
        "messages[].content[].cache_control",
    ),
    "cache_control of a tool": (
        {"tools": [tool(cache_control={"type": "ephemeral"})], "tool_choice": "none"},
        "tools[].cache_control",
    ),
    "store": ({"store": True}, "store"),
    "verbosity": ({"verbosity": "high"}, "verbosity"),
    "max_tokens -1": ({"max_tokens": -1, "stop": ["e", " "]}, None),
    "top_k -1": ({"top_k": -1}, None),
    "usage all the time": (
        {"stream": True, "stream_options": {"continuous_usage_stats": True}},
        "stream_options.continuous_usage_stats",
    ),
    "stream_options without a stream": ({"stream_options": {"include_usage": True}}, None),
    "an empty reply": (
        {"messages": [USER, {"role": "assistant", "content": None}, USER]},
        None,
    ),
    "a function's result": (
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": None,
                    "function_call": {"name": "look", "arguments": "{}"},
                },
                {"role": "function", "name": "look", "content": "7"},
            ],
            "functions": [{"name": "look", "parameters": {"type": "object"}}],
            "function_call": "none",
        },
        None,
    ),
    "many tools": ({"tools": [tool(f"t{i}") for i in range(200)], "tool_choice": "none"}, None),
    "tool names": ({"tools": [tool("mcp/files:read file")], "tool_choice": "none"}, None),
    "guided_choice": ({"guided_choice": ["yes", 'n"o']}, None),
    "repetition_penalty": ({"repetition_penalty": 1.1}, None),
    "every sampler": (
        {
            "dry_multiplier": 0.8,
            "dry_base": 1.75,
            "dry_allowed_length": 2,
            "dry_penalty_last_n": -1,
            "dry_sequence_breakers": ["\n"],
            "top_n_sigma": 1.5,
            "xtc_probability": 0.5,
            "xtc_threshold": 0.1,
            "typical_p": 0.9,
            "dynatemp_range": 0.3,
            "dynatemp_exponent": 1.2,
            "repeat_last_n": 128,
            "samplers": ["dry", "top-k", "typ_p", "xtc", "temperature"],
        },
        None,
    ),
    "letters for samplers": ({"samplers": "edskypmxt"}, None),
    "mirostat": ({"mirostat": 2, "mirostat_tau": 4.0, "mirostat_eta": 0.2}, None),
}


@pytest.mark.parametrize("name", TAKEN)
def test_it_is_taken(running: Running, name: str) -> None:
    fields, ignored = TAKEN[name]
    body = {"messages": [USER], "max_tokens": 1, **fields}
    response = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=120)
    assert response.status_code == 200, response.text
    warning = response.headers.get("X-Appliance-Warning", "")
    if ignored is None:
        assert "ignored" not in warning
    else:
        assert ignored in warning


def test_unknown_names_are_listed_safely_and_not_without_end(running: Running) -> None:
    names = [f"field{i}" for i in range(50)] + ["x\r\nSet-Cookie: a=b", "é"]
    body = {"messages": [USER], "max_tokens": 1, **dict.fromkeys(names, 1)}
    response = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    assert "and 32 more" in response.headers["X-Appliance-Warning"]


@pytest.mark.parametrize("part", ["image_url", "input_audio", "file", "video_url"])
def test_what_a_model_cannot_read_is_refused_in_a_sentence(running: Running, part: str) -> None:
    content = [{"type": "text", "text": "What is this?"}, {"type": part, part: {"url": "x"}}]
    body = {"messages": [{"role": "user", "content": content}]}
    response = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "messages[0].content[1]"
    assert "this model cannot" in error["message"]


def reply(running: Running, **fields: Any) -> str:
    body = {"messages": [USER], "max_tokens": 12, "temperature": 0, **fields}
    response = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def test_the_last_message_goes_on(running: Running) -> None:
    """Only what is new is sent; where it is to be a message of its own, it begins anew."""
    begun = [USER, {"role": "assistant", "content": "The three colours are red, green and"}]
    assert "blue" in reply(running, messages=begun)
    assert reply(running, messages=begun, continue_final_message=True) == reply(
        running, messages=begun
    )
    anew = reply(running, messages=begun, continue_final_message=False)
    assert anew == reply(running, messages=begun, add_generation_prompt=True)
    assert anew != reply(running, messages=begun)


def test_a_choice_is_kept_to(running: Running) -> None:
    choices = ["aubergine", 'a "quoted" word', "two\nlines", "back\\slash"]
    for choice in choices:
        assert reply(running, guided_choice=[choice], max_tokens=40) == choice
    assert reply(running, structured_outputs={"choice": choices}, max_tokens=40) in choices


def test_samplers_change_what_is_drawn_and_a_seed_repeats_it(running: Running) -> None:
    drawn = {"temperature": 1.5, "seed": 5, "max_tokens": 24, "top_k": 0, "min_p": 0, "top_p": 1}
    plain = reply(running, **drawn)
    for fields in (
        {"mirostat": 2, "mirostat_tau": 1.0},
        {"mirostat": 1, "mirostat_tau": 1.0},
        {"top_n_sigma": 0.5},
        {"typical_p": 0.2},
        {"xtc_probability": 1.0, "xtc_threshold": 0.05},
        {"dynatemp_range": 1.4},
        {"samplers": ["top_k"], "top_k": 1},
    ):
        once = reply(running, **{**drawn, **fields})
        assert once != plain, fields
        assert once == reply(running, **{**drawn, **fields}), fields


def test_dry_ends_a_repetition(running: Running) -> None:
    body = {"prompt": "The cat sat on the mat.\n" * 12, "max_tokens": 12, "temperature": 0}

    def written(**fields: Any) -> str:
        response = httpx.post(f"{running.url}/v1/completions", json={**body, **fields}, timeout=60)
        return str(response.json()["choices"][0]["text"])

    assert "cat sat on the mat" in written()
    dry = {"dry_multiplier": 5.0, "dry_allowed_length": 1, "dry_sequence_breakers": ["#"]}
    assert "cat sat on the mat" not in written(**dry)


def test_embeddings_are_cut_and_of_length_one(running: Running) -> None:
    def vector(**fields: Any) -> list[float]:
        body = {"input": "Hi", **fields}
        found = httpx.post(f"{running.url}/v1/embeddings", json=body, timeout=60).json()
        return list(found["data"][0]["embedding"])

    whole, short = vector(), vector(dimensions=16)
    length = sum(number * number for number in whole[:16]) ** 0.5
    assert short == pytest.approx([number / length for number in whole[:16]], abs=1e-5)


def test_the_prompt_is_echoed(running: Running) -> None:
    body = {"prompt": ["One,", "Two,"], "n": 2, "max_tokens": 3, "temperature": 0, "echo": True}
    whole = httpx.post(f"{running.url}/v1/completions", json=body, timeout=60).json()["choices"]
    assert [choice["text"][:4] for choice in whole] == ["One,", "One,", "Two,", "Two,"]
    tokens = httpx.post(f"{running.url}/tokenize", json={"content": "One,"}).json()["tokens"]
    same = httpx.post(
        f"{running.url}/v1/completions", json={**body, "prompt": tokens, "n": 1}, timeout=60
    ).json()["choices"]
    assert same[0]["text"] == whole[0]["text"]
