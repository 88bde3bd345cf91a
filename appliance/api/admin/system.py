"""The state of the appliance: health, readiness, status, metrics; and the page itself."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import falcon

from appliance.api.admin.login import set_cookie
from appliance.api.admin.schemas import (
    DeviceStatus,
    Health,
    ModelStatus,
    RecentRequestList,
    Status,
    StorageHealth,
)
from appliance.api.openapi.operation import Operations
from appliance.auth.keys.scopes import Caller
from appliance.auth.login_sessions import LoginSessions
from appliance.engine.base import EngineStatus
from appliance.engine.protocol import AssessedDevice, ModelInfo
from appliance.engine.serving.model_names import was_missing
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.http.errors import RETRY_AFTER, ErrorAnswer
from appliance.metrics.dashboard import Dashboard
from appliance.metrics.registry import Metrics
from appliance.store.upkeep.notices import StorageStatus

operation = Operations("Appliance")


def _model_status(model: ServedModel) -> ModelStatus:
    state = model.state
    info = state.model
    return ModelStatus(
        id=model.id,
        name=model.name,
        state=state.word,
        progress=state.progress,
        detail=state.trouble or state.detail,
        n_ctx=info.n_ctx if info else None,
        device=info.device if info else None,
        variant=(info.variant or None) if info else None,
        on=info.on if info else (),
        devices=_device_names(info) if info else (),
        warning=model.routing.warning,
        missing=was_missing(model),
        elsewhere=model.spec.elsewhere,
    )


def _device_names(info: ModelInfo) -> tuple[str, ...]:
    """Families, and device names where a family has several."""
    families = [standing.device.family for standing in info.devices]
    several = {family for family in families if families.count(family) > 1}
    names = [it.device.name.lower() for it in info.devices if it.device.family in several]
    return (*dict.fromkeys(families), *names)


def _device_status(standing: AssessedDevice) -> DeviceStatus:
    device = standing.device
    return DeviceStatus(
        name=device.name,
        family=device.family,
        description=device.description,
        driver=device.driver,
        free=device.free,
        total=device.total,
        trust=standing.trust,
        detail=standing.detail,
    )


class System:
    """`/health`, `/readiness` and `/api/status`"""

    def __init__(
        self,
        pool: Pool,
        dashboard: Dashboard,
        refused_variants: Callable[[], dict[str, str]],
        storage: Callable[[], StorageStatus],
    ) -> None:
        self._pool = pool
        self._storage = storage
        self._refused_variants = refused_variants
        self._dashboard = dashboard

    @operation(gives=Health)
    def on_get_health(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 as long as the appliance can answer."""
        resp.media = self._health("ok", req.context.caller)

    @operation(gives=Health, also={503: (Health, ErrorAnswer)})
    def on_get_readiness(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 if the default model accepts requests, else 503.

        `storage` says whether chats can be stored; where they can't, they are read, and requests
        without a session are answered.
        """
        model = self._pool.find(None)
        if not model.ready:
            resp.status = falcon.HTTP_503
            resp.set_header("Retry-After", str(RETRY_AFTER))
        storage = self._storage()
        resp.media = self._health(
            "ready" if model.ready else model.state.word,
            req.context.caller,
            storage=StorageHealth(storage.state, storage.detail),
        )

    @operation(gives=Status)
    def on_get_status(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What the page shows about the appliance."""
        figures = self._dashboard.figures()
        status = Status(
            version=figures.version,
            figures=figures,
            devices=[_device_status(standing) for standing in self._pool.devices()],
            refused_variants=self._refused_variants(),
            storage=self._storage(),
            **self._now(),
        )
        resp.media = status

    def _health(
        self, status: Literal["ok"] | EngineStatus, caller: Caller, **more: StorageHealth
    ) -> Health:
        """To strangers the status alone: which models run here is nobody else's business."""
        return Health(status=status, **(self._now() | more if caller.scope else {}))

    def _now(self) -> dict[str, Any]:
        return {
            "uptime_seconds": self._dashboard.uptime_seconds,
            "timestamp": int(time.time() * 1000),
            "models": [_model_status(model) for model in self._pool.models()],
        }


class RecentRequestsResource:
    """`/api/requests`"""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @operation(gives=RecentRequestList)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The caller's own last requests to models: figures, no text. Kept in memory alone."""
        caller: Caller = req.context.caller
        resp.media = RecentRequestList(requests=self._metrics.recent.of(caller.owner))


class MetricsText:
    """`[observability] metrics_path`"""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @operation(gives="text/plain")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Metrics for Prometheus; those that name keys only with the scope `manage`."""
        caller: Caller = req.context.caller
        resp.data, resp.content_type = self._metrics.render(
            req.get_header("Accept") or "", of_keys=caller.may("manage")
        )


CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

UNBUILT = "The page is not built. In a checkout, `make run` builds it; the API works without it.\n"


IS_RUNNING = "Ollama is running"
PAGE_OR_TEXT = (falcon.MEDIA_HTML, falcon.MEDIA_TEXT)


def _asks_for_page(req: falcon.Request) -> bool:
    """As browsers do."""
    return "html" in req.accept


class ServiceWorker:
    """`/service-worker.js`: its address decides what it serves, and is the same in every build."""

    def __init__(self, folder: Path) -> None:
        """`folder`: the built page."""
        self._file = folder / "service-worker.js"

    @operation(gives="text/javascript")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page's service worker, which lets the page open while the server does not answer."""
        resp.data = self._file.read_bytes()
        resp.content_type = "text/javascript"
        resp.cache_control = ["no-cache"]


class WebPage:
    """The page's HTML document. Its files below `/assets` are a static route."""

    def __init__(self, folder: Path, logins: LoginSessions, policy: str = "") -> None:
        """
        Args:
            folder: the built page.
            logins: redeems tickets.
            policy: its Content-Security-Policy; empty: that of the appliance's own page.
        """
        self._logins = logins
        self._policy = policy or CONTENT_POLICY
        self._document = folder / "index.html"

    @operation(gives=PAGE_OR_TEXT, also={303: None, 503: "text/plain"})
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page's HTML document.

        It is not cached, since it names the files of this build. With `token`, a login ticket that
        the appliance printed or opened, the browser is logged in first. Clients that don't ask for
        HTML get the text that Ollama's look for.
        """
        ticket = req.get_param("token")
        if ticket is not None:
            if value := self._logins.redeem(ticket):
                set_cookie(req, resp, value)
            # The ticket should not stay in the address bar and the history.
            resp.status = falcon.HTTP_303
            resp.location = "/"
            return
        if not _asks_for_page(req):
            resp.content_type = falcon.MEDIA_TEXT
            resp.text = IS_RUNNING
            return
        try:
            resp.data = self._document.read_bytes()
        except OSError:
            resp.status = falcon.HTTP_503
            resp.content_type = falcon.MEDIA_TEXT
            resp.text = UNBUILT
            return
        resp.content_type = falcon.MEDIA_HTML
        resp.cache_control = ["no-cache"]
        resp.set_header("Content-Security-Policy", self._policy)

    @operation(gives=PAGE_OR_TEXT, also={503: "text/plain"})
    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Whether anybody is here, as clients of other services ask first."""
        resp.content_type = falcon.MEDIA_HTML if _asks_for_page(req) else falcon.MEDIA_TEXT


PREVIEW_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; media-src data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""Whatever runs there has no origin, and so no cookies and no storage, and loads nothing."""


class PreviewPage:
    """The document in which the page shows HTML and drawings that a model wrote."""

    def __init__(self, folder: Path) -> None:
        """`folder`: the built page."""
        self._document = folder / "preview.html"

    @operation(gives=falcon.MEDIA_HTML, also={404: None})
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """An empty document for the page's previews, in a sandbox without network."""
        try:
            resp.data = self._document.read_bytes()
        except OSError as ex:
            raise falcon.HTTPNotFound from ex
        resp.content_type = falcon.MEDIA_HTML
        resp.cache_control = ["no-cache"]
        resp.set_header("Content-Security-Policy", PREVIEW_POLICY)
