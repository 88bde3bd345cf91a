"""`POST /v1/embeddings`, by OpenAI's own client."""

import base64
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.models.architectures import bert
from tests.running import Running

CAT = "The cat sat on the mat and purred."
CAT_TOO = "A cat is sitting on a mat, purring."
TAX = "Income tax is due on the first of April."


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0) as made:
        yield made


def ask(running: Running, **body: Any) -> httpx.Response:
    return httpx.post(running.url + "/v1/embeddings", json=body, timeout=60)


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_texts_that_mean_the_same_are_near(client: openai.OpenAI) -> None:
    """The embedded model is a text model, but its embeddings separate topics this well."""
    found = client.embeddings.create(model="smollm2-135m-instruct", input=[CAT, CAT_TOO, TAX])
    cat, too, tax = (entry.embedding for entry in found.data)
    assert len(cat) == 576
    assert all(abs(dot(vector, vector) - 1) < 1e-5 for vector in (cat, too, tax))
    assert dot(cat, too) > dot(cat, tax)
    assert [entry.index for entry in found.data] == [0, 1, 2]
    assert found.usage.prompt_tokens == found.usage.total_tokens > 20
    assert found.model == "smollm2-135m-instruct"


def test_floats_and_base64_say_the_same(client: openai.OpenAI, running: Running) -> None:
    floats = client.embeddings.create(
        model="smollm2-135m-instruct", input=CAT, encoding_format="float"
    )
    body = ask(running, input=CAT, encoding_format="base64").json()
    packed = base64.b64decode(body["data"][0]["embedding"])
    assert list(struct.unpack("<576f", packed)) == pytest.approx(floats.data[0].embedding, abs=1e-6)


def test_tokens_stand_for_their_text(client: openai.OpenAI) -> None:
    one = client.embeddings.create(model="smollm2-135m-instruct", input=[1, 2, 3]).data
    many = client.embeddings.create(model="smollm2-135m-instruct", input=[[1, 2, 3], [4, 5]]).data
    assert len(one) == 1 and len(many) == 2
    assert dot(one[0].embedding, many[0].embedding) == pytest.approx(1, abs=1e-3)


def test_an_input_has_the_same_vector_alone_and_among_others(client: openai.OpenAI) -> None:
    texts = [f"{CAT} {TAX} " * (i % 7) + f"Number {i}." for i in range(16)]
    together = client.embeddings.create(model="smollm2-135m-instruct", input=texts).data
    for i in (0, 5, 11, 15):
        alone = (
            client.embeddings.create(model="smollm2-135m-instruct", input=texts[i])
            .data[0]
            .embedding
        )
        assert dot(alone, together[i].embedding) > 0.999


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["fine", ""]}, "input[1]"),
        ({"input": [1, "mixed"]}, "input"),
        ({"input": [1, 2, 10**6]}, "input[0]"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": "x", "dimensions": 1000}, "dimensions"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({}, "input"),
    ],
)
def test_what_is_wrong_is_named(running: Running, body: dict[str, Any], param: str) -> None:
    response = ask(running, **body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_an_input_that_is_too_long_is_refused_with_both_numbers(running: Running) -> None:
    response = ask(running, input=["fine", "word " * 10_000])
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "input[1] has 10" in error["message"]


def test_dimensions_that_are_the_models_own_are_taken(running: Running) -> None:
    response = ask(running, input="x", dimensions=576, user="somebody")
    assert response.status_code == 200


def test_without_the_prefix_and_for_no_such_model(running: Running) -> None:
    assert httpx.post(running.url + "/embeddings", json={"input": "x"}).status_code == 200
    assert ask(running, input="x", model="nobody").status_code == 404


def test_a_model_that_only_embeds(tmp_path: Path) -> None:
    """A BERT model that this test writes, beside the embedded model."""
    file = tmp_path / "bert.gguf"
    file.write_bytes(bert().encoded(seed=4))
    config = f'[[models.available_models]]\nid = "bert"\npath = "{file}"\n'
    appliance = Running(tmp_path, config=config).start()
    with openai.OpenAI(base_url=appliance.url + "/v1", api_key="none", max_retries=0) as client:
        found = client.embeddings.create(model="bert", input=["a cat", "a dog", "a cat"])
        cat, dog, again = (entry.embedding for entry in found.data)
        assert len(cat) == 64
        assert dot(cat, again) == pytest.approx(1, abs=1e-5)
        assert dot(cat, dog) < dot(cat, again) - 1e-5
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(
                model="bert", messages=[{"role": "user", "content": "a cat"}]
            )
        assert refused.value.param == "model"
        assert "embeddings" in refused.value.message
    assert appliance.stop() == 0
