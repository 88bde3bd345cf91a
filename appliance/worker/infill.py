"""Prompts of texts that are to be filled in, in the order that llama.cpp's server has.

[repository] project [file] name, text, … [file] name [prefix] before [suffix] behind [middle]
"""

from collections.abc import Callable

from appliance.engine.types import InfillPrompt
from appliance.errors import RequestError
from appliance.worker.runners.base import FillInTokens

PROJECT = "myproject\n"
FILE = "filename\n"
BETWEEN = "\n\n--- snippet ---\n\n"
"""Between files, for a model that has no token for that."""

Tokenize = Callable[[str], list[int]]


def infill_tokens(
    prompt: InfillPrompt, fim: FillInTokens | None, tokenize: Tokenize, room: int
) -> tuple[list[int], int]:
    """The prompt's tokens, and how many files were left out, the first ones, to keep to `room`.

    Raises:
        RequestError: the model has no tokens for this; `param` is `prompt.param`.
    """
    if fim is None:
        raise RequestError(
            f"{prompt.param}: this model does not support insert: it has no tokens for filling in",
            param=prompt.param,
        )
    end = [fim.prefix, *tokenize(prompt.prefix), fim.suffix, *tokenize(prompt.suffix), fim.middle]
    files = [_file(fim, tokenize, name, text) for name, text in prompt.files]
    begin = [fim.repository, *tokenize(PROJECT)] if fim.repository >= 0 else []
    if fim.file >= 0:
        end = [fim.file, *tokenize(FILE), *end]
    left = room - len(begin) - len(end)
    kept: list[list[int]] = []
    for tokens in reversed(files):
        left -= len(tokens)
        if left < 0:
            break
        kept.insert(0, tokens)
    return [*begin, *(token for tokens in kept for token in tokens), *end], len(files) - len(kept)


def _file(fim: FillInTokens, tokenize: Tokenize, name: str, text: str) -> list[int]:
    if fim.file < 0:
        return [*tokenize(BETWEEN), *tokenize(text)]
    return [fim.file, *tokenize(f"{name}\n"), *tokenize(text)]
