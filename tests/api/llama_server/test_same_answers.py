"""llama-server's routes answer as llama.cpp's own server does, with the same model."""

import json
from typing import Any

import httpx
import pytest

from tests.api.llama_server.conftest import Both
from tests.running import Running

TEXTS = [
    "Hello, world!",
    "",
    "naïve 🙂 text\n\twith tabs",
    "<|im_start|>user\nhi<|im_end|>",
    "日本",
]
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <|im_end|>"}]
GREEDY = {"temperature": 0, "n_predict": 6, "cache_prompt": False}


def both(servers: Both, path: str, body: dict[str, Any], model: str) -> tuple[Any, Any]:
    found = []
    for url, named in ((servers.ours, {"model": model}), (servers.theirs, {})):
        response = httpx.post(url + path, json={**body, **named}, timeout=120)
        assert response.status_code == 200, response.text
        found.append(response.json())
    return found[0], found[1]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("options", [{}, {"add_special": True}, {"parse_special": False}])
def test_tokens_of_a_text_and_back(filler: Both, text: str, options: dict[str, bool]) -> None:
    ours, theirs = both(filler, "/tokenize", {"content": text, **options}, "fill")
    assert ours == theirs
    ours, theirs = both(filler, "/detokenize", {"tokens": theirs["tokens"]}, "fill")
    assert ours == theirs


def test_pieces(filler: Both) -> None:
    body = {"content": "naïve 𓂀", "with_pieces": True}
    ours, theirs = both(filler, "/tokenize", body, "fill")
    assert ours == theirs
    assert any(isinstance(token["piece"], list) for token in ours["tokens"])


def test_a_chat_as_the_model_sees_it(filler: Both) -> None:
    ours, theirs = both(filler, "/apply-template", {"messages": CHAT}, "fill")
    assert ours == theirs
    begun = [*CHAT, {"role": "assistant", "content": "Hello the"}]
    shown = httpx.post(f"{filler.ours}/apply-template", json={"messages": begun}).json()["prompt"]
    assert shown.endswith("assistant:Hello the")


@pytest.mark.parametrize(
    "body",
    [
        {"input_prefix": "def add(a, b):\n    ", "input_suffix": "\n    return c\n"},
        {"input_prefix": "one two", "input_suffix": " four", "prompt": " three"},
        {
            "input_prefix": "x = ",
            "input_suffix": "\n",
            "input_extra": [{"filename": "a.py", "text": "x = 1\n"}],
        },
    ],
)
def test_what_is_filled_in(filler: Both, body: dict[str, Any]) -> None:
    ours, theirs = both(filler, "/infill", {**body, **GREEDY}, "fill")
    assert ours["tokens_evaluated"] == theirs["tokens_evaluated"]
    assert ours["content"] == theirs["content"]
    same = {"stop", "stop_type", "stopping_word", "truncated"}
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


def test_a_completion_has_the_fields_of_theirs(filler: Both) -> None:
    body = {"prompt": "Once upon a time", **GREEDY}
    ours, theirs = both(filler, "/completion", body, "fill")
    assert ours["content"] == theirs["content"]
    assert ours["tokens_predicted"] == theirs["tokens_predicted"] == 6
    left = {"has_new_line", "prompt", "id_slot", "index", "tokens"}
    assert theirs.keys() - left <= ours.keys()
    assert theirs["timings"].keys() <= ours["timings"].keys()
    with httpx.stream("POST", f"{filler.ours}/completion", json={**body, "stream": True}) as reply:
        events = [json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: ")]
    assert "".join(event["content"] for event in events) == ours["content"]
    assert [event["stop"] for event in events] == [False] * (len(events) - 1) + [True]


def test_the_probabilities_of_its_tokens(filler: Both) -> None:
    body = {"prompt": "Once upon a time", "n_probs": 3, **GREEDY}
    ours, theirs = both(filler, "/completion", body, "fill")
    pairs = zip(ours["completion_probabilities"], theirs["completion_probabilities"], strict=True)
    for one, other in pairs:
        assert one.keys() == other.keys()
        assert (one["id"], one["token"], one["bytes"]) == (
            *(other["id"], other["token"], other["bytes"]),
        )
        assert one["top_logprobs"][0]["id"] == other["top_logprobs"][0]["id"]
        assert len(one["top_logprobs"]) == len(other["top_logprobs"]) == 3
        assert one["top_logprobs"][0].keys() == other["top_logprobs"][0].keys()
        assert one["logprob"] == pytest.approx(other["logprob"], abs=0.3)  # of other kernels
    with httpx.stream("POST", f"{filler.ours}/completion", json={**body, "stream": True}) as reply:
        events = [json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: ")]
    streamed = [it for event in events for it in event.get("completion_probabilities", [])]
    assert [it["id"] for it in streamed] == [it["id"] for it in ours["completion_probabilities"]]
    assert len(streamed) == 6


def test_how_a_reply_was_generated(filler: Both) -> None:
    body = {"prompt": "Once", **GREEDY, "seed": 42, "top_k": 7, "n_probs": 1}
    ours, theirs = both(filler, "/completion", body, "fill")
    mine, other = ours["generation_settings"], theirs["generation_settings"]
    same = ("seed", "top_k", "top_p", "min_p", "n_predict", "max_tokens", "n_probs", "mirostat")
    assert {name: mine[name] for name in same} == pytest.approx(
        {name: other[name] for name in same}
    )
    assert mine["samplers"] == other["samplers"]
    drawn = httpx.post(f"{filler.ours}/completion", json={"prompt": "Once", "n_predict": 1})
    assert isinstance(drawn.json()["generation_settings"]["seed"], int)


def test_the_suffix_of_a_completion_is_filled_in(filler: Both) -> None:
    prefix, suffix = "The capital of ", " is Paris."
    body = {"prompt": prefix, "suffix": suffix, "temperature": 0, "max_tokens": 6, "echo": True}
    reply = httpx.post(f"{filler.ours}/v1/completions", json=body, timeout=60).json()
    same = {"input_prefix": prefix, "input_suffix": suffix, **GREEDY}
    ours, _ = both(filler, "/infill", same, "fill")
    assert reply["choices"][0]["text"] == prefix + ours["content"]
    assert reply["usage"]["prompt_tokens"] == ours["tokens_evaluated"]


def test_the_order_of_documents(ranker: Both) -> None:
    documents = ["the cat sat on the mat", "a dog", "rain in the night", "cats and mats"]
    body = {"query": "where is the cat?", "documents": documents}
    ours, theirs = both(ranker, "/v1/rerank", body, "rank")
    for one, other in zip(ours["results"], theirs["results"], strict=True):
        assert one["relevance_score"] == pytest.approx(other["relevance_score"], abs=1e-3)
    assert ours["usage"] == theirs["usage"]
    scores = [result["relevance_score"] for result in ours["results"]]
    assert scores == sorted(scores, reverse=True)
    best = httpx.post(
        f"{ranker.ours}/rerank",
        json={**body, "model": "rank", "top_n": 1, "return_documents": True},
    ).json()["results"]
    assert len(best) == 1
    assert best[0]["document"] == {"text": documents[best[0]["index"]]}
    plain = {"query": body["query"], "texts": documents, "model": "rank", "return_text": True}
    listed = httpx.post(f"{ranker.ours}/rerank", json=plain).json()
    assert [entry["score"] for entry in listed] == scores
    assert listed[0]["text"] == documents[listed[0]["index"]]


def test_what_a_model_cannot_do_is_refused_by_name(appliance: Running, running: Running) -> None:
    wrong = [
        (appliance, "/v1/rerank", {"model": "fill", "query": "a", "documents": ["b"]}, "model"),
        (appliance, "/v1/rerank", {"model": "rank", "query": "a"}, "documents"),
        (appliance, "/v1/embeddings", {"model": "rank", "input": "a"}, "model"),
        (appliance, "/detokenize", {"tokens": [2**30]}, "tokens"),
        (running, "/infill", {"input_prefix": "a", "input_suffix": "b"}, "input_suffix"),
        (running, "/v1/completions", {"prompt": "a", "suffix": "b"}, "suffix"),
        (appliance, "/v1/completions", {"prompt": [1, 2], "suffix": "b"}, "suffix"),
    ]
    for server, path, body, param in wrong:
        response = httpx.post(server.url + path, json=body, timeout=60)
        assert response.status_code == 400, (path, response.text)
        assert response.json()["error"]["param"] == param, path


def test_props_and_slots_say_nothing_of_anybody(filler: Both) -> None:
    secret = "my secret is aubergine"
    httpx.post(f"{filler.ours}/completion", json={"prompt": secret, "n_predict": 2}, timeout=60)
    props = httpx.get(f"{filler.ours}/props").json()
    theirs = httpx.get(f"{filler.theirs}/props").json()
    read = {"default_generation_settings", "total_slots", "model_alias", "chat_template"}
    assert read <= props.keys() & theirs.keys()
    assert props["default_generation_settings"]["n_ctx"] > 0
    assert props["bos_token"] == theirs["bos_token"] != ""
    assert props["eos_token"] == theirs["eos_token"] != ""
    assert props["model_path"] == "fill.gguf"
    slots = httpx.get(f"{filler.ours}/slots").json()
    assert len(slots) == props["total_slots"] > 0
    assert all(slot.keys() == {"id", "n_ctx", "is_processing"} for slot in slots)
    assert "aubergine" not in json.dumps([props, slots])
    params = props["default_generation_settings"]["params"]
    assert params["samplers"] == theirs["default_generation_settings"]["params"]["samplers"]
