"""The service as the window's side sees it: over HTTP alone."""

import contextlib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from appliance.client import discovery

ANSWER_SECONDS = 5.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Without the proxies that the environment may name: the service is on this machine."""


class Service(msgspec.Struct, frozen=True):
    """Where a service is, and what lets this user in."""

    url: str
    token: str = ""

    def answers(self) -> bool:
        """Whether an appliance is there."""
        try:
            said = self._ask("GET", "/health")
        except (OSError, ValueError):
            return False
        return isinstance(said, dict) and said.get("status") == "ok" and "models" in said

    def busy_sessions(self) -> list[str]:
        """The sessions whose reply is being written; none where nobody answers."""
        try:
            said = self._ask("GET", "/api/sessions")
        except (OSError, ValueError):
            return []
        return [one["id"] for one in said.get("sessions", []) if one.get("live_message_id")]

    def stop_reply(self, session: str) -> None:
        """End the reply of a session; what was written of it is kept."""
        with contextlib.suppress(OSError, ValueError):
            self._ask("POST", f"/api/sessions/{session}/stop")

    def _ask(self, method: str, path: str) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the scheme is the service's own
            self.url + path, method=method, headers={"Content-Type": "application/json"}
        )
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        with _OPENER.open(request, timeout=ANSWER_SECONDS) as answer:
            body = answer.read()
        return msgspec.json.decode(body) if body else None


def find(folder: Path, usual_url: str) -> Service | None:
    """The service that runs already: this user's on `folder`, or whoever's at the usual address."""
    told = discovery.find(folder)
    own = [Service(told.url, told.token)] if told else []
    return next((one for one in (*own, Service(usual_url)) if one.answers()), None)
