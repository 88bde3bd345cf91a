"""How long a model stays loaded, as a request may ask for in several dialects."""

import math
import re

from appliance.auth.keys.scopes import Caller
from appliance.engine.serving.pool import ServedModel
from appliance.errors import RequestError

_PIECE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(keep_alive: float | str) -> float:
    """How long a model is to be kept; infinite: for ever.

    Args:
        keep_alive: seconds, or a duration such as `1h30m`; negative: for ever.

    Raises:
        RequestError: it is no duration.
    """
    if isinstance(keep_alive, str):
        text = keep_alive.strip()
        sign, text = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
        pieces = _PIECE.findall(text)
        if text.isdecimal():
            found = sign * float(text)
        elif pieces and "".join(number + unit for number, unit in pieces) == text:
            found = sign * sum(float(number) * _SECONDS[unit] for number, unit in pieces)
        else:
            raise RequestError(
                f"keep_alive: {keep_alive!r} is no duration such as 5m, or seconds",
                param="keep_alive",
            )
    else:
        found = keep_alive
    return math.inf if found < 0 else found


def keep(model: ServedModel, seconds: float | None, caller: Caller, name: str) -> str | None:
    """Keep a model for so long after each request; returns a sentence if the caller may not say
    that.

    Args:
        model: that is asked.
        seconds: None: nothing is asked for.
        caller: who asks.
        name: of the field, for people.
    """
    if seconds is None:
        return None
    if not caller.may("manage"):
        return f"ignored: {name}, which needs a key with the scope manage"
    model.keep_alive = seconds
    return None
