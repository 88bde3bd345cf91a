"""Whether an upstream is reachable and has the model: checked by a separate thread."""

import logging
import threading

import msgspec

from appliance.engine.base import EngineState
from appliance.engine.protocol import ModelInfo
from appliance.engine.upstream.client import ModelCard, UpstreamClient
from appliance.engine.upstream.connection import UpstreamConnection
from appliance.engine.upstream.request_body import UpstreamFailure
from appliance.errors import ApplianceError

log = logging.getLogger(__name__)

BACK_OFF = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between two checks of an upstream that is not ready."""


class HealthCheck:
    """The state of one upstream. Checks it at the start, when a request makes it doubtful, and
    repeatedly while it is not ready; otherwise it sleeps."""

    def __init__(self, name: str, api: UpstreamClient, parallel: int) -> None:
        """`parallel`: requests that run at once."""
        self._name = name
        self._api = api
        self._parallel = parallel
        self._changed = threading.Condition()
        self._state = EngineState(status="loading")
        self._notes: set[str] = set()
        self._check_now = threading.Event()
        self._connection = UpstreamConnection()
        self._thread = threading.Thread(target=self._watch, name=f"upstream {name}", daemon=True)

    def start(self) -> None:
        """Check for the first time; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """The state is `stopped` from now on."""
        self._set(EngineState(status="stopped"))
        self._connection.abort()
        self._check_now.set()

    def join(self, timeout: float) -> None:
        """After `stop`, wait for the thread; seconds."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    @property
    def state(self) -> EngineState:
        """A snapshot."""
        return self._state

    def wait_ready(self, timeout: float) -> bool:
        """Whether it was ready within `timeout` seconds; False at once when it isn't."""
        with self._changed:
            self._changed.wait_for(lambda: self._state.status != "loading", timeout)
            return self._state.status == "ready"

    def report(self, *, ok: bool) -> None:
        """A request succeeded, or failed by the upstream's fault: check if that is news."""
        if ok != (self._state.status == "ready"):
            self._check_now.set()

    def note(self, note: str) -> None:
        """Something that people should know about the upstream: in the log once, in the state."""
        with self._changed:
            if note in self._notes:
                return
            self._notes.add(note)
            if self._state.status == "ready":
                self._state = msgspec.structs.replace(self._state, detail=self._noted())
        log.warning("the upstream of %s: %s", self._name, note)

    # -- its thread ------------------------------------------------------------------------------

    def _watch(self) -> None:
        failures = 0
        while self._state.status != "stopped":
            self._check_now.clear()
            before, state = self._state, self._check()
            self._set(state)
            if self._state.status == "ready":
                failures = 0
                if before.status != "ready":
                    log.info("%s is ready at %s", self._name, self._api.address)
                self._check_now.wait()
            elif self._state.status == "failed":
                failures += 1
                if before.detail != state.detail:
                    log.warning("%s is not ready: %s", self._name, state.detail)
                self._check_now.wait(BACK_OFF[min(failures, len(BACK_OFF)) - 1])

    def _check(self) -> EngineState:
        try:
            card = self._api.card(self._connection)
        except UpstreamFailure as failure:
            return EngineState(status="failed", detail=failure.error.message)
        except ApplianceError as ex:
            return EngineState(status="failed", detail=ex.message)
        except Exception as ex:
            log.exception("the upstream of %s could not be checked", self._name)
            return EngineState(status="failed", detail=f"it could not be checked: {ex}")
        finally:
            self._connection.close()
        with self._changed:
            detail = self._noted()
        return EngineState(status="ready", progress=1.0, detail=detail, model=self._info(card))

    def _info(self, card: ModelCard) -> ModelInfo | None:
        """None when the upstream does not report its context."""
        if not card.n_ctx:
            return None
        return ModelInfo(
            description=f"{card.id} at {self._api.address}",
            n_ctx=card.n_ctx,
            n_ctx_train=card.meta.n_ctx_train or card.n_ctx,
            n_params=card.meta.n_params or 0,
            size=card.meta.size or 0,
            n_seq_max=self._parallel,
            device="upstream",
        )

    # -- any thread ------------------------------------------------------------------------------

    def _noted(self) -> str | None:
        return "; ".join(sorted(self._notes)) or None

    def _set(self, state: EngineState) -> None:
        with self._changed:
            if self._state.status == "stopped":
                return
            self._state = state
            self._changed.notify_all()
