"""A person from outside, with the official client."""

from openai import OpenAI
from openai.types.chat import ChatCompletion


def ask(url: str) -> ChatCompletion:
    """A question; the answer, which has text in it."""
    client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120)
    answer = client.chat.completions.create(
        model="smollm2-135m-instruct",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        temperature=0,
        max_tokens=12,
    )
    assert answer.choices[0].message.content
    return answer
