"""A scripted model: it writes the thoughts and function calls that a test asks for (Hermes)."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai

from tests.running import Running

TEMPLATE = """{% if tools %}<|im_start|>tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}Calls are <tool_call>{"name": …, "arguments": …}</tool_call><|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}
{% if message.reasoning_content %}<think>
{{ message.reasoning_content }}
</think>

{% endif %}{{ message.content }}{% for call in message.tool_calls %}
<tool_call>
{{ call.function | tojson }}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think>

</think>

{% endif %}{% endif %}"""


def call(name: str, **arguments: Any) -> str:
    """A call in this model's format."""
    written = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{written}\n</tool_call>"


def thought(text: str, answer: str) -> str:
    """A reply with a thought before the answer, in this model's format."""
    return f"<think>\n{text}\n</think>\n\n{answer}"


def openai_client(appliance: Running, key: str = "none") -> Any:
    """OpenAI's own client, without the types of its requests: tests send others as well."""
    return openai.OpenAI(base_url=f"{appliance.url}/v1", api_key=key, max_retries=0)


def serving_scripted(folder: Path, **environment: str) -> Iterator[Running]:
    """An appliance for a fixture whose model answers `echo:TEXT` with TEXT."""
    appliance = Running(
        folder,
        command=(sys.executable, "-m", "tests.service.fake_service"),
        FAKE_CHAT_TEMPLATE=TEMPLATE,
        **environment,
    ).start()
    yield appliance
    assert appliance.stop() == 0
