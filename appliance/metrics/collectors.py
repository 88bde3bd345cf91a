"""Metrics whose values are kept elsewhere, and read at every scrape."""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance.engine.serving.pool import ServedModel
from appliance.metrics.process_memory import of_model


class ModelsCollector(Collector):
    """How busy each model is, what it holds, and how often its worker had to be replaced."""

    def __init__(self, models: Callable[[], Iterable[ServedModel]]) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        """One look at all of them."""
        running = _gauge("appliance_requests_running", "Replies that are being written.")
        waiting = _gauge("appliance_requests_waiting", "Requests that wait for their turn.")
        kv = GaugeMetricFamily(
            "appliance_kv_bytes",
            "Bytes of KV states: in the cache on the device, and in memory beside it.",
            labels=["model", "place"],
        )
        memory = _gauge("appliance_worker_memory_bytes", "Memory that the model's worker has.")
        ready = _gauge("appliance_model_ready", "1: it is loaded; 0: it isn't.")
        restarts = CounterMetricFamily(
            "appliance_worker_restarts", "Workers that died and were replaced.", labels=["model"]
        )
        for model in self._models():
            counters, label = model.counters, [model.id]
            running.add_metric(label, counters.running)
            waiting.add_metric(label, counters.waiting)
            kv.add_metric([model.id, "cache"], counters.kv_bytes)
            kv.add_metric([model.id, "memory"], counters.kv_memory_bytes)
            memory.add_metric(label, use.total if (use := of_model(model)) else 0)
            ready.add_metric(label, model.state.word == "ready")
            restarts.add_metric(label, counters.worker_restarts)
        return [running, waiting, kv, memory, ready, restarts]


class GaugeCollector(Collector):
    """One number."""

    def __init__(self, name: str, help: str, value: Callable[[], float]) -> None:
        self._name = name
        self._help = help
        self._value = value

    def collect(self) -> Iterable[Metric]:
        """As it is now."""
        return [GaugeMetricFamily(self._name, self._help, value=self._value())]


class BuildInfoCollector(Collector):
    """Which version this is."""

    def __init__(self, version: str) -> None:
        self._version = version

    def collect(self) -> Iterable[Metric]:
        """Always 1."""
        family = GaugeMetricFamily(
            "appliance_build_info", "Always 1; the label has the version.", labels=["version"]
        )
        family.add_metric([self._version], 1)
        return [family]


def _gauge(name: str, help: str) -> Any:
    return GaugeMetricFamily(name, help, labels=["model"])
