"""Error messages for upstream failures: with a remedy, and never with the key."""

import json
import re
import time
from email.utils import parsedate_to_datetime

from appliance.engine.upstream.request_body import UpstreamFailure, names_unknown, too_long
from appliance.errors import (
    ApplianceError,
    ContextLengthExceeded,
    ModelLoadFailed,
    ModelLoading,
    QueueFull,
    RequestError,
    Unavailable,
)

MAX_READ = 4000
MAX_TEXT = 300
"""Characters of the upstream's own message that are looked at, and that are passed on."""


class ErrorExplainer:
    """Turns whatever `openai` and `httpx2` raise into an `UpstreamFailure`."""

    def __init__(self, address: str, model: str, api_key: str | None) -> None:
        self._address = address
        self._model = model
        self._api_key = api_key

    def explain(self, ex: Exception) -> UpstreamFailure:
        """`ex`: of `openai`, of `httpx2`, or a ValueError about what the upstream sent."""
        import httpx2
        import openai

        if isinstance(ex, openai.APIStatusError):
            after = _seconds(ex.response.headers.get("retry-after"))
            return self._by_status(ex.status_code, self._text(ex.body), after)
        cause = ex.__cause__ if isinstance(ex, openai.APIConnectionError) else ex
        if isinstance(cause, httpx2.ConnectTimeout):
            return self._down("no answer")
        if isinstance(cause, httpx2.ConnectError):
            return self._down(re.sub(r"^\[.*?\] ", "", str(cause)))
        if isinstance(cause, httpx2.TimeoutException):
            return self.broken("it has sent nothing for too long")
        if isinstance(cause, httpx2.HTTPError):
            return self.broken("it broke the connection off")
        if isinstance(ex, openai.APIError):
            # An error that came inside a stream whose status was 200.
            status = int(ex.code) if ex.code and re.fullmatch("[45][0-9][0-9]", ex.code) else 500
            return self._by_status(status, self._text(ex.body), None)
        return self.broken("it sent what no client of OpenAI's API understands")

    def broken(self, what: str) -> UpstreamFailure:
        """The exchange began, and failed."""
        return UpstreamFailure(Unavailable(f"the upstream {self._address} failed: {what}"))

    def not_openai(self) -> UpstreamFailure:
        """Status 200, and not what OpenAI's API would answer."""
        return self.broken(
            "it answered, but not as an OpenAI-compatible server does; "
            "is the address right? Most end in /v1"
        )

    def no_model(self, known: list[str]) -> UpstreamFailure:
        """It listed its models, and the model is not among them."""
        names = ", ".join(known[:10]) or "none"
        return UpstreamFailure(
            ModelLoadFailed(
                f"the upstream {self._address} has no model {self._model!r}; it has: {names}"
            )
        )

    def _down(self, why: str) -> UpstreamFailure:
        return UpstreamFailure(
            Unavailable(
                f"the upstream {self._address} cannot be reached ({why}): "
                "is the server running, and is the address right?"
            )
        )

    def _by_status(self, status: int, text: str, after: int | None) -> UpstreamFailure:
        detail = f": {text[:MAX_TEXT]}" if text else ""
        refuses = f"the upstream {self._address} refuses"
        if status in (401, 403):
            # Without its own message, which may repeat the key.
            return UpstreamFailure(
                Unavailable(
                    f"{refuses} the key that the appliance has for it (status {status}): "
                    "the key for this upstream is wrong or missing"
                )
            )
        if status == 404:
            return UpstreamFailure(
                ModelLoadFailed(
                    f"the upstream {self._address} has no model {self._model!r}, or its address "
                    f"is not right (status 404){detail}"
                )
            )
        if status in (429, 503):
            return UpstreamFailure(self._busy(status, text, after))
        if 400 <= status < 500 or too_long(text):
            return self._by_content(f"{refuses} the request{detail}", text)
        return self.broken(f"status {status}{detail}")

    def _by_content(self, message: str, text: str) -> UpstreamFailure:
        found = too_long(text)
        if found:
            return UpstreamFailure(ContextLengthExceeded(message), too_long=found)
        return UpstreamFailure(RequestError(message), unknown=text if names_unknown(text) else "")

    def _busy(self, status: int, text: str, after: int | None) -> ApplianceError:
        if status == 503 and "loading" in text.lower():
            return ModelLoading(f"the upstream {self._address} is still loading its model")
        wait = "" if after is None else f"; it asks to come back in {after} s"
        return QueueFull(f"the upstream {self._address} has too much to do{wait}")

    def _text(self, body: object) -> str:
        """The upstream's own message in one line."""
        found = body
        if isinstance(body, dict):
            found = body.get("message") or body.get("detail") or body.get("error") or body
            if any(body.get(key) == "context_length_exceeded" for key in ("code", "type")):
                found = f"{found} (context_length_exceeded)"
        if not isinstance(found, str):
            found = "" if found is None else json.dumps(found, default=str)
        if found.lstrip().startswith("<"):
            return ""  # some proxy's page
        if self._api_key:
            found = found.replace(self._api_key, "…")
        return " ".join(found[:MAX_READ].split())


def _seconds(header: str | None) -> int | None:
    """`Retry-After`: seconds from now, as a number or as a date."""
    if header is None:
        return None
    if header.strip().isdigit():
        return int(header)
    try:
        return max(0, round(parsedate_to_datetime(header).timestamp() - time.time()))
    except ValueError:
        return None
