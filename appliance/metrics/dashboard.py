"""The figures that the page shows."""

import os
import time
from collections.abc import Callable, Iterable

import msgspec

from appliance.engine.counters import Counters
from appliance.engine.serving.pool import ServedModel
from appliance.metrics.process_memory import of_model, of_process
from appliance.metrics.processor_load import ProcessorLoad, ProcessorMeter
from appliance.metrics.throughput import Throughput
from appliance.models.memory.usage import MemoryUse
from appliance.system.memory import memory


class ModelMemory(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is loaded."""

    id: str
    name: str
    memory: MemoryUse


class DashboardMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes."""

    total: int
    """This machine's total."""
    available: int
    """Free, or to be had."""
    appliance: int
    """What the appliance's own process has."""
    workers: int
    """What `models` have together; a model's file counts, as far as it is read."""
    models: list[ModelMemory]


class DashboardFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How busy the appliance is."""

    tokens_per_second: float
    """For all replies together, in the last seconds with a reply in progress; 0: there was none."""
    time_to_first_token_ms: float | None
    """The median of the last replies; null: there was none."""
    requests_running: int
    requests_waiting: int
    tokens_prefilled: int
    """Prompt tokens computed since the start."""
    tokens_saved: int
    """Prompt tokens found in the cache since the start."""
    kv_bytes: int
    """Held in KV caches, and in memory beside them."""
    worker_restarts: int
    memory: DashboardMemory
    processor: ProcessorLoad
    uptime_seconds: float
    version: str


class Dashboard:
    """Puts the figures together."""

    def __init__(
        self, throughput: Throughput, models: Callable[[], Iterable[ServedModel]], version: str
    ) -> None:
        self._throughput = throughput
        self._models = models
        self._version = version
        self._began = time.monotonic()
        self._processor = ProcessorMeter()

    @property
    def uptime_seconds(self) -> float:
        """Since the appliance began."""
        return round(time.monotonic() - self._began, 3)

    def figures(self) -> DashboardFigures:
        """As they are now."""
        models = list(self._models())
        counters = sum((model.counters for model in models), Counters())
        first = self._throughput.first_token_seconds
        machine = memory()
        loaded = [
            ModelMemory(id=model.id, name=model.name, memory=use)
            for model in models
            if (use := of_model(model))
        ]
        return DashboardFigures(
            tokens_per_second=round(self._throughput.tokens_per_second, 2),
            time_to_first_token_ms=None if first is None else round(first * 1000, 1),
            requests_running=counters.running,
            requests_waiting=counters.waiting,
            tokens_prefilled=counters.prefilled_tokens,
            tokens_saved=counters.saved_tokens,
            kv_bytes=counters.kv_bytes + counters.kv_memory_bytes,
            worker_restarts=counters.worker_restarts,
            memory=DashboardMemory(
                total=machine.total,
                available=machine.available,
                appliance=of_process(os.getpid()),
                workers=sum(model.memory.total for model in loaded),
                models=loaded,
            ),
            processor=self._processor.load(),
            uptime_seconds=self.uptime_seconds,
            version=self._version,
        )
