"""The metrics of a running appliance, as Prometheus and Grafana read them."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.running import WITHOUT_MODEL, Running

ROOT = Path(__file__).resolve().parents[3]
MONITORING = ROOT / "packaging" / "monitoring"
PATIENCE = 60.0

ORIGINAL = [
    *("chat_completions_requests_total", "completions_requests_total"),
    *("chat_inference_duration_seconds", "completions_duration_seconds"),
    *("chat_generated_tokens_total", "completions_tokens_total"),
    *("completions_errors_total", "chat_completions_errors_total"),
    *("rate_limit_allowed_total", "rate_limit_blocked_total"),
    *("health_check_requests_total", "readiness_check_requests_total"),
    *("models_list_requests_total", "model_info_requests_total", "history_requests_total"),
]


def program(name: str) -> str:
    """The path of one of Prometheus's programs."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing: install the Debian package `prometheus`")
    return found


def complete(url: str, **body: Any) -> httpx.Response:
    asked = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5, **body}
    return httpx.post(f"{url}/v1/chat/completions", json=asked, timeout=PATIENCE)


def scrape(url: str) -> dict[str, float]:
    """The value of each line of `/metrics`, by its name and labels as written there."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    found = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in found}


def test_promtool_has_nothing_to_say_about_the_metrics(running: Running) -> None:
    assert complete(running.url).status_code == 200
    response = httpx.get(f"{running.url}/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=response.content,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_names_of_the_original_service_are_there(running: Running) -> None:
    text = httpx.get(f"{running.url}/metrics").text
    types = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE"))
    wanted = {n: "counter" if n.endswith("_total") else "histogram" for n in ORIGINAL}
    assert {name: types.get(name) for name in wanted} == wanted


def test_what_is_asked_is_counted(running: Running) -> None:
    before = scrape(running.url)
    assert complete(running.url, max_tokens=7, ignore_eos=True).status_code == 200
    assert complete(running.url, messages=[]).status_code == 400
    with httpx.stream(
        "POST",
        f"{running.url}/v1/completions",
        json={"prompt": "Once", "max_tokens": 3, "ignore_eos": True, "stream": True},
        timeout=PATIENCE,
    ) as stream:
        stream.read()
    models = httpx.get(f"{running.url}/v1/models").json()["data"]
    for path in ("/health", "/readiness", f"/models/{models[0]['id']}"):
        assert httpx.get(running.url + path).status_code == 200
    httpx.get(f"{running.url}/no/such/{time.time()}")
    after = scrape(running.url)

    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown["chat_completions_requests_total"] == 2
    assert grown["chat_completions_errors_total"] == 1
    assert grown["chat_generated_tokens_total"] == 7
    assert grown["completions_requests_total"] == 1
    assert grown["completions_errors_total"] == 0
    assert grown["completions_tokens_total"] == 3
    for name in ("health_check", "readiness_check", "models_list", "model_info"):
        assert grown[f"{name}_requests_total"] == 1
    assert sum(v for n, v in grown.items() if n.startswith("appliance_generated_tokens")) == 10
    assert sum(v for n, v in grown.items() if "to_first_token_seconds_count" in n) == 2
    assert grown['appliance_http_requests_total{method="GET",route="none",status="404"}'] == 1


def test_status_has_the_figures(running: Running) -> None:
    assert complete(running.url, max_tokens=20, ignore_eos=True).status_code == 200
    figures = httpx.get(f"{running.url}/api/status").json()["figures"]
    assert figures["tokens_per_second"] > 0
    assert figures["time_to_first_token_ms"] > 0
    assert (figures["requests_running"], figures["requests_waiting"]) == (0, 0)
    assert figures["tokens_prefilled"] > 0
    assert figures["kv_bytes"] > 0
    assert figures["worker_restarts"] == 0
    processor = figures["processor"]
    assert 0 <= processor["appliance"] <= processor["used"] <= 1 <= processor["threads"]
    memory = figures["memory"]
    assert 0 < memory["available"] <= memory["total"]
    assert 10_000_000 < memory["appliance"] < memory["total"]
    assert 50_000_000 < memory["workers"] < memory["total"]


def test_recent_requests_have_figures_and_no_text(running: Running) -> None:
    headers = {"X-Request-Id": "one-of-mine"}
    body = {"messages": [{"role": "user", "content": "A word about xylophones"}], "max_tokens": 5}
    url = f"{running.url}/v1/chat/completions"
    reply = httpx.post(url, json=body, headers=headers, timeout=PATIENCE).json()
    listed = httpx.get(f"{running.url}/api/requests")
    assert "xylophones" not in listed.text
    newest = listed.json()["requests"][0]
    assert (newest["id"], newest["route"]) == ("one-of-mine", "/v1/chat/completions")
    assert newest["model"] == reply["model"]
    assert newest["prompt_tokens"] == reply["usage"]["prompt_tokens"]
    assert newest["cached_tokens"] == reply["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert newest["completion_tokens"] == reply["usage"]["completion_tokens"]
    assert newest["end"] == reply["choices"][0]["finish_reason"]
    assert 0 < newest["first_token_ms"] <= newest["duration_ms"]
    refused = httpx.post(url, json=body | {"model": "nothing-like-it"}, timeout=PATIENCE)
    assert refused.status_code == 404
    newest = httpx.get(f"{running.url}/api/requests").json()["requests"][0]
    assert (newest["end"], newest["model"], newest["completion_tokens"]) == ("404", "", 0)


def test_metrics_can_be_elsewhere_or_nowhere(tmp_path: Path) -> None:
    for environment, path, status in (
        ({"APPLIANCE_OBSERVABILITY_METRICS_PATH": "/internal/metrics"}, "/internal/metrics", 200),
        ({"APPLIANCE_OBSERVABILITY_ENABLE_METRICS": "false"}, "/metrics", 404),
    ):
        folder = tmp_path / str(status)
        folder.mkdir()
        appliance = Running(folder, command=WITHOUT_MODEL, **environment).start(ready=False)
        try:
            assert httpx.get(appliance.url + path).status_code == status
        finally:
            assert appliance.stop() == 0


def test_a_trace_line_has_the_id_of_its_request(tmp_path: Path) -> None:
    appliance = Running(tmp_path, APPLIANCE_OBSERVABILITY_ENABLE_TRACING="true").start()
    try:
        httpx.post(
            f"{appliance.url}/v1/completions",
            json={"prompt": "Tell nobody", "max_tokens": 4, "ignore_eos": True},
            headers={"X-Request-Id": "trace-me"},
            timeout=PATIENCE,
        )
    finally:
        assert appliance.stop() == 0
    lines = [json.loads(line) for line in appliance.log.read_text().splitlines()]
    (trace,) = [line for line in lines if line["event"] == "completions length"]
    assert trace["request_id"] == "trace-me"
    assert trace["completion_tokens"] == 4
    assert trace["decode_seconds"] > 0
    assert "Tell nobody" not in appliance.log.read_text()


KEYS = """
[security]
enable_auth = true
vault = "file"
api_keys = [
    {key = "sk-of-the-office", name = "office", rate_limit_per_minute = 2},
    {key = "sk-of-prometheus", name = "prometheus", scope = "manage"},
]
"""


def test_who_asks_is_named_by_the_key_and_its_limit_is_counted(tmp_path: Path) -> None:
    appliance = Running(tmp_path, config=KEYS).start()
    try:
        body = {"prompt": "x", "max_tokens": 2, "ignore_eos": True}
        office = {"Authorization": "Bearer sk-of-the-office"}
        statuses = [
            httpx.post(
                f"{appliance.url}/v1/completions", json=body, headers=office, timeout=PATIENCE
            ).status_code
            for _ in range(3)
        ]
        assert statuses == [200, 200, 429]
        assert httpx.get(f"{appliance.url}/metrics").status_code == 401
        # Each key sees its own requests alone.
        prometheus = {"Authorization": "Bearer sk-of-prometheus"}
        for headers, seen in ((office, 3), (prometheus, 0)):
            recent = httpx.get(f"{appliance.url}/api/requests", headers=headers)
            assert len(recent.json()["requests"]) == seen
        # Any key reads metrics, but not what names keys.
        theirs = httpx.get(f"{appliance.url}/metrics", headers=office).text
        assert "completions_requests_total" in theirs
        assert "office" not in theirs
        manager = {"Authorization": "Bearer sk-of-prometheus"}
        text = httpx.get(f"{appliance.url}/metrics", headers=manager).text
    finally:
        assert appliance.stop() == 0
    by = '{key="office",model="smollm2-135m-instruct"}'
    assert f"appliance_generated_tokens_total{by} 4.0\n" in text
    # What the dashboard and the alerts use: by model and key, and in total.
    values = dict(line.rpartition(" ")[::2] for line in text.splitlines() if line[:1] != "#")
    for name in (
        *("time_to_first_token_seconds_count", "inter_token_seconds_count"),
        *("prefilled_tokens_total", "saved_tokens_total"),
    ):
        assert float(values[f"appliance_{name}{by}"]) >= (name != "saved_tokens_total"), name
    of_model = '{model="smollm2-135m-instruct"}'
    for name, value in (
        *(("requests_running", 0.0), ("requests_waiting", 0.0)),
        *(("worker_restarts_total", 0.0), ("model_ready", 1.0)),
    ):
        assert float(values[f"appliance_{name}{of_model}"]) == value, name
    assert sum(float(v) for n, v in values.items() if n.startswith("appliance_kv_bytes")) > 0
    assert float(values["appliance_sessions"]) == 0
    assert "\nrate_limit_allowed_total 2.0\n" in text
    assert "\nrate_limit_blocked_total 1.0\n" in text
    assert "\ncompletions_requests_total 3.0\n" in text
    assert "\ncompletions_errors_total 1.0\n" in text
    assert "sk-of" not in text


# -- the files in packaging/monitoring -------------------------------------------------------------

_LABELS = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on)\s*\([^)]*\)|\"[^\"]*\"")
_NAME = re.compile(r"\b[a-z_][a-z0-9_]*\b")
_WORDS = {"sum", "rate", "increase", "histogram_quantile", "by", "on", "and", "count", "up"}


def names_in(expression: str) -> set[str]:
    """The metrics of a PromQL expression."""
    return set(_NAME.findall(_LABELS.sub(" ", expression))) - _WORDS


def expressions() -> Iterator[str]:
    """The PromQL expressions of every rule and every panel."""
    rules = (MONITORING / "alerts.yml").read_text("utf-8")
    yield from re.findall(r"expr: (?:\|\n)?((?:.*\n)+?) {8}\w+:", rules)
    dashboard = json.loads((MONITORING / "grafana.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_every_metric_of_rules_and_dashboard_exists(running: Running) -> None:
    named = set().union(*(names_in(expression) for expression in expressions()))
    assert len(named) > 20
    assert complete(running.url).status_code == 200
    families = list(text_string_to_metric_families(httpx.get(f"{running.url}/metrics").text))
    there = {sample.name for family in families for sample in family.samples}
    assert named - there == set()


def test_promtool_has_nothing_to_say_about_the_rules(tmp_path: Path) -> None:
    promtool = program("promtool")
    for name in ("alerts.yml", "prometheus.yml"):
        shutil.copy(MONITORING / name, tmp_path)
    shutil.copy(Path(__file__).with_name("alerts_test.yml"), tmp_path)
    for command in (
        ["check", "rules", "--lint-fatal", "alerts.yml"],
        ["check", "config", "--lint-fatal", "prometheus.yml"],
        ["test", "rules", "alerts_test.yml"],
    ):
        checked = subprocess.run(
            [promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


class Prometheus:
    """A real Prometheus on loopback that scrapes an appliance every second."""

    def __init__(self, folder: Path, target: str) -> None:
        prometheus = program("prometheus")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        for name in ("alerts.yml", "prometheus.yml"):
            text = (MONITORING / name).read_text("utf-8")
            text = text.replace("127.0.0.1:3000", target).replace("interval: 15s", "interval: 1s")
            (folder / name).write_text(text, "utf-8")
        self.url = f"http://127.0.0.1:{port}"
        with (folder / "log.txt").open("w") as log:
            self._process = subprocess.Popen(
                [
                    prometheus,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )

    def ask(self, path: str, **query: str) -> Any:
        """The data of a response; None while it does not respond."""
        try:
            response = httpx.get(f"{self.url}/api/v1/{path}", params=query)
        except httpx.TransportError:
            return None
        return response.json()["data"] if response.status_code == 200 else None

    def wait_for(self, query: str) -> list[Any]:
        """The result of a query, once there is one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            data = self.ask("query", query=query)
            if data and data["result"]:
                return list(data["result"])
            time.sleep(0.2)
        raise AssertionError(f"{query} found nothing; targets: {self.ask('targets')}")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


def test_prometheus_scrapes_and_understands_everything(running: Running, tmp_path: Path) -> None:
    assert complete(running.url).status_code == 200
    prometheus = Prometheus(tmp_path, running.url.removeprefix("http://"))
    try:
        assert prometheus.wait_for('up{job="appliance"} == 1')
        (tokens,) = prometheus.wait_for("sum(appliance_generated_tokens_total)")
        assert float(tokens["value"][1]) >= 1
        assert prometheus.wait_for("rate(chat_completions_requests_total[1m])")
        for expression in expressions():
            plain = expression.replace("$instance", ".*")
            plain = plain.replace("$__rate_interval", "1m").replace("$__range", "1h")
            assert prometheus.ask("query", query=plain) is not None, expression
        (group,) = prometheus.ask("rules")["groups"]
        assert [rule["name"] for rule in group["rules"] if rule.get("lastError")] == []
        (target,) = prometheus.ask("targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
    finally:
        prometheus.stop()
