"""OpenAI's `prompt` and `input`: the four ways in which texts and tokens can be given."""

from collections.abc import Sequence

from appliance.engine.types import TextPrompt, TokenPrompt
from appliance.errors import RequestError


def prompts_of(
    given: str | Sequence[int | str | list[int]], param: str, most: int
) -> list[TextPrompt | TokenPrompt]:
    """The prompts in a text, in tokens, or in a list of up to `most` of either.

    Raises:
        RequestError: it is none of these; `param` is named.
    """
    if isinstance(given, str):
        return [TextPrompt(given)]
    tokens = [item for item in given if isinstance(item, int)]
    if tokens:
        if len(tokens) != len(given):
            raise RequestError(f"{param} mixes tokens and texts", param=param)
        return [TokenPrompt(tokens)]
    if len(given) > most:
        raise RequestError(f"{param} has more than {most} entries", param=param)
    return [
        TextPrompt(item) if isinstance(item, str) else TokenPrompt(item)
        for item in given
        if not isinstance(item, int)
    ]
