"""What other servers do, or refuse, and the appliance should not pass over silently."""

from typing import Any

import httpx
import pytest

from tests.clients.peers.rows import FAKE, REAL, Row, refused

CHAT = "/v1/chat/completions"
CONTENT = "choices.0.message.content"
SUM: Any = [{"role": "user", "content": "What is 1+1?"}]


def chat(**fields: Any) -> Any:
    return {"model": REAL, "messages": SUM, "temperature": 0, "max_tokens": 5, **fields}


def changed(whose: str, **field: Any) -> Row:
    """A field that changes what the reply is: it is honored, or refused by its name."""
    (name,) = field
    return Row(whose, name, chat(**field), refused(name), 400, CHAT)


ROWS = (
    changed("SGLang", ebnf='root ::= "a"'),
    changed("SGLang", stop_regex="and|or"),
    changed("SGLang", no_stop_trim=True),
    changed("SGLang", custom_logit_processor="x"),
    changed("SGLang", lora_path="x"),
    changed("vLLM", stop_token_ids=[28]),
    changed("vLLM", min_tokens=5),
    changed("vLLM", bad_words=["two"]),
    changed("vLLM", allowed_token_ids=[28]),
    changed("vLLM", include_stop_str_in_output=True),
    changed("vLLM", prompt_logprobs=1),
    changed("vLLM", return_token_ids=True),
    changed("vLLM", return_tokens_as_token_ids=True),
    changed("vLLM", truncate_prompt_tokens=4),
    changed("vLLM", use_beam_search=True),
    changed("vLLM", echo=True),
    changed("vLLM", chat_template="{{ messages }}"),
    changed("vLLM", thinking_token_budget=10),
    changed("vLLM", include_reasoning=False),
    changed("SGLang", separate_reasoning=False),
    Row(
        "vLLM",
        "which token isn't there",
        chat(logit_bias={"9999999": 1}),
        refused("9999999", "49151"),
        400,
        CHAT,
    ),
    Row(
        "vLLM",
        "which key is no token",
        chat(logit_bias={"no": 1, "nor": 1}),
        refused("'no'", "'nor'"),
        400,
        CHAT,
    ),
    Row(
        "SGLang", "a schema as a text", chat(json_schema='{"enum": [1]}'), {CONTENT: "1"}, path=CHAT
    ),
    Row(
        "Ollama",
        "a result by its function's name",
        {
            "model": FAKE,
            "messages": [
                SUM[0],
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "a",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": "{}"},
                        }
                    ],
                },
                {"role": "tool", "name": "get_weather", "content": "22"},
                {"role": "user", "content": "echo:Warm."},
            ],
        },
        {CONTENT: "Warm."},
        path=CHAT,
    ),
    Row(
        "vLLM",
        "a response to nothing",
        {"model": REAL, "max_output_tokens": 3, "store": False},
        refused("input"),
        400,
        "/v1/responses",
    ),
    Row(
        "vLLM",
        "not of length 1",
        {"model": REAL, "input": "a", "normalize": False},
        refused("normalize"),
        400,
        "/v1/embeddings",
    ),
)

OLLAMA = (
    Row(
        "Ollama",
        "a system prompt beside a raw one",
        {"model": FAKE, "prompt": "echo:a\x03", "system": "Be brief.", "raw": True},
        {"error": lambda it: "raw" in it and "system" in it},
        400,
        "/api/generate",
    ),
)


@pytest.mark.parametrize("row", [*ROWS, *OLLAMA], ids=str)
def test_it_is_not_passed_over(fake: httpx.Client, real: httpx.Client, row: Row) -> None:
    row.check(real if row.send["model"] == REAL else fake)
