"""The whole route table behind its real guard; every resource is a stub."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import falcon
from falcon.testing import Result, TestClient

from appliance.api.app import build
from appliance.api.middleware.auth import Guard, Rule
from appliance.api.openapi.operation import App
from appliance.auth.authenticator import Authenticator
from appliance.auth.keys.registry import Keys
from appliance.auth.login_sessions import LoginSessions
from appliance.auth.origin_policy import OriginPolicy
from appliance.auth.rate_limiter import RatePolicy
from appliance.auth.vault.file_vaults import FileVault
from appliance.config.schema import Config

PORT = 3000
REACHED = 299
"""The status of a request that the guard let through."""


class Reached:
    """Replaces every resource."""

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: object
    ) -> None:
        resp.status = f"{REACHED} Reached"
        resp.complete = True


class Guarded:
    """An app that answers every request the guard lets through with `REACHED`."""

    def __init__(
        self,
        folder: Path,
        *,
        auth: bool,
        origins: tuple[str, ...] = (),
        hosts: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        default_rpm: int = 0,
        **of_callers: Any,
    ) -> None:
        self.keys = Keys(FileVault(folder / "keys.json"))
        self.logins = LoginSessions()
        self.guard = Guard(
            OriginPolicy(host=host, allowed_hosts=hosts, allowed_origins=origins, auth=auth),
            Authenticator(self.keys, self.logins, auth=auth, **of_callers),
            RatePolicy(default_rpm),
        )
        parts: dict[str, Any] = {name: MagicMock() for name in inspect.signature(build).parameters}
        parts |= {"guard": self.guard, "keys": self.keys, "logins": self.logins}
        parts |= {"config": Config(), "ui": folder}
        self.app: App = build(**parts)
        self.app.add_middleware(Reached())
        self._client = TestClient(self.app)

    def routes(self) -> Iterator[tuple[str, str, Rule]]:
        """Method, path with its fields filled in, and rule of every route."""
        for route in self.app.routes:
            path = falcon.uri.decode(route.path)
            while "{" in path:
                head, _, rest = path.partition("{")
                path = f"{head}x{rest.partition('}')[2]}"
            for method in route.responders:
                yield method, path, self.guard.rule_of(route.path, method)

    def ask(
        self,
        method: str,
        path: str,
        *,
        local: str = "127.0.0.1",
        peer: str = "127.0.0.1",
        body: str | None = None,
        http_version: str = "1.1",
        **headers: Any,
    ) -> Result:
        """Send a request; `headers` have `_` for `-`, and None means not sent."""
        sent = {"Host": f"{local}:{PORT}"} | {
            name.replace("_", "-").title(): value for name, value in headers.items()
        }
        return self._client.simulate_request(
            method,
            path.partition("?")[0],
            query_string=path.partition("?")[2],
            headers={name: value for name, value in sent.items() if value is not None},
            body=body,
            http_version=http_version,
            remote_addr=peer,
            extras={
                "appliance.local": (local, PORT),
                "appliance.set_owner": lambda _: None,
                "appliance.heavy": lambda: None,
            },
        )
