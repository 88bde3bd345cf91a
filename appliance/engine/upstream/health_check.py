"""Whether an upstream is there and has the model: looked at from a thread of its own."""

import logging
import threading

import msgspec

from appliance.engine.base import EngineState
from appliance.engine.protocol import ModelInfo
from appliance.engine.upstream.client import ModelCard, UpstreamClient
from appliance.engine.upstream.connection import Connection
from appliance.engine.upstream.request_body import UpstreamRefused
from appliance.errors import ApplianceError

log = logging.getLogger(__name__)

BACK_OFF = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between two looks at an upstream that is not ready."""


class HealthCheck:
    """The state of one upstream. Looks at it at the start, when a request makes it doubtful, and
    again and again while it is not ready; otherwise it sleeps."""

    def __init__(self, name: str, api: UpstreamClient, parallel: int) -> None:
        """`parallel`: requests that run at once."""
        self._name = name
        self._api = api
        self._parallel = parallel
        self._changed = threading.Condition()
        self._state = EngineState(status="loading")
        self._notes: set[str] = set()
        self._look_now = threading.Event()
        self._call = Connection()
        self._thread = threading.Thread(target=self._watch, name=f"upstream {name}", daemon=True)

    def start(self) -> None:
        """Look for the first time; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """The state is `stopped` from now on."""
        self._set(EngineState(status="stopped"))
        self._call.abort()
        self._look_now.set()

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

    def saw(self, *, well: bool) -> None:
        """A request went well, or failed by the upstream's fault: look if that is news."""
        if well != (self._state.status == "ready"):
            self._look_now.set()

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
            self._look_now.clear()
            before, state = self._state, self._look()
            self._set(state)
            if self._state.status == "ready":
                failures = 0
                if before.status != "ready":
                    log.info("%s is ready at %s", self._name, self._api.address)
                self._look_now.wait()
            elif self._state.status == "failed":
                failures += 1
                if before.detail != state.detail:
                    log.warning("%s is not ready: %s", self._name, state.detail)
                self._look_now.wait(BACK_OFF[min(failures, len(BACK_OFF)) - 1])

    def _look(self) -> EngineState:
        try:
            card = self._api.card(self._call)
        except UpstreamRefused as refused:
            return EngineState(status="failed", detail=refused.error.message)
        except ApplianceError as ex:
            return EngineState(status="failed", detail=ex.message)
        except Exception as ex:
            log.exception("the upstream of %s could not be looked at", self._name)
            return EngineState(status="failed", detail=f"it could not be looked at: {ex}")
        finally:
            self._call.close()
        with self._changed:
            detail = self._noted()
        return EngineState(status="ready", progress=1.0, detail=detail, model=self._info(card))

    def _info(self, card: ModelCard) -> ModelInfo | None:
        """None when the upstream does not tell its context."""
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
