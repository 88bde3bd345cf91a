"""The capabilities in the model list agree with the worker's, for llama.cpp's templates."""

from appliance.models.local.abilities import takes_tools, thinks
from tests.worker.llama_sources import sources
from tests.worker.parsers.test_templates import style

OTHERWISE = {
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja": "it speaks of calls, and has none",
    "unsloth-Apriel-1.5.jinja": "it speaks of reasoning, and shows none",
}


def test_what_a_template_says_is_what_it_shows() -> None:
    differ = set()
    for name, source in sources("models/templates", ".jinja").items():
        shown = style(name)
        calls = shown.calls is not None or shown.harmony
        if (takes_tools(source), thinks(source)) != (calls, shown.thinks):
            differ.add(name)
    assert differ == set(OTHERWISE)
