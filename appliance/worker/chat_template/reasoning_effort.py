"""How much a model is to think before it answers, as variables of its chat template. Pure Python.

Templates such as gpt-oss's have a variable `reasoning_effort` for it; those of Qwen3 and SmolLM3
one that is on or off, `enable_thinking`. Most have neither.
"""

from typing import Any

from appliance.errors import RequestError

_USUAL = ("low", "medium", "high")
"""What every template with `reasoning_effort` takes; other values stand in it if it takes them."""


def variables(
    template: str | None, effort: str | None, *, thinks: bool, is_wish: bool = False
) -> dict[str, Any]:
    """The variables for the template.

    Args:
        template: the source.
        effort: as OpenAI names it.
        thinks: the model does, as far as is known.
        is_wish: a template without such a setting is no reason to refuse.

    Raises:
        RequestError: this model has no such setting; `param` is `reasoning_effort`.
    """
    if effort is None:
        return {}
    source = template or ""
    found: dict[str, Any] = {}
    graded = "reasoning_effort" in source
    if graded and (effort in _USUAL or _has_text(source, effort)):
        found["reasoning_effort"] = effort
    if "enable_thinking" in source:
        found["enable_thinking"] = effort != "none"
    if not found and not is_wish and (thinks or graded or effort != "none"):
        raise RequestError(
            f"reasoning_effort can't be {effort} with this model", param="reasoning_effort"
        )
    return found


def _has_text(source: str, text: str) -> bool:
    return f"'{text}'" in source or f'"{text}"' in source
