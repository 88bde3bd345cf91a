"""Row 10: many streams at once, and the latency of other requests meanwhile."""

import http.client
import json
import subprocess
import sys
import time
from statistics import median, quantiles
from urllib.parse import urlsplit

from benchmarks import prompts
from benchmarks.client import BenchmarkError, streams
from benchmarks.figures import Measure, Row, Verdict, at_most
from benchmarks.servers import ROOT, Appliance
from benchmarks.stand import Stand

FAKE_SERVICE = ROOT / "tests" / "service" / "fake_service.py"
STEP_SECONDS = 0.05
ASK_EVERY_SECONDS = 0.02


def many_streams(stand: Stand) -> Row:
    """The appliance with 256 streams at the same time."""
    settings = stand.settings
    count, tokens = (32, 40) if settings.quick else (256, 400)
    row = Row(
        10,
        f"{count} streams at {1 / STEP_SECONDS:.0f} tokens/s: /health meanwhile",
        f"the fake runner, {tokens} tokens each; /health every {ASK_EVERY_SECONDS * 1000:.0f} ms",
    )
    ours = Appliance(
        stand.scratch / "many",
        str(FAKE_SERVICE),
        variables={"FAKE_STEP_SECONDS": str(STEP_SECONDS), "PYTHONPATH": str(ROOT)},
        engine_n_seq_max=count,
        engine_n_batch=1024,
        server_log_level="warning",
    )
    try:
        found = [_run(ours, count, tokens) for _ in range(settings.repeat)]
    finally:
        ours.stop()
    p99 = [quantiles(each["health"], n=100)[98] for each in found]
    row.measures.append(Measure("/health, p99", "ms", {"appliance": p99}))
    row.measures.append(
        Measure("/health, median", "ms", {"appliance": [median(e["health"]) for e in found]})
    )
    row.measures.append(
        Measure("each stream, median", "tokens/s", {"appliance": [e["rate"][0] for e in found]})
    )
    row.measures.append(
        Measure("appliance, without worker", "% of a core", {"CPU": [e["cpu"][0] for e in found]})
    )
    row.verdicts.append(Verdict("/health p99, ms", p99, at_most(50)))
    return row


def _run(ours: Appliance, count: int, tokens: int) -> dict[str, list[float]]:
    """Latency of each `/health` in ms, the streams' rate, and CPU time in % of a core."""
    client = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.rows_load", ours.url, str(count), str(tokens)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdout
    health: list[float] = []
    try:
        if client.stdout.readline() != "begun\n":
            raise BenchmarkError("the streams could not be opened")
        process = ours.process
        used, began = sum(process.cpu_times()[:2]), time.perf_counter()
        while client.poll() is None:
            health.append(_ask(ours.url))
            time.sleep(ASK_EVERY_SECONDS)
        cpu = 100 * (sum(process.cpu_times()[:2]) - used) / (time.perf_counter() - began)
        rate = client.stdout.read()
    finally:
        client.kill()
        client.wait()
        client.stdout.close()
    if not rate:
        raise BenchmarkError("the streams were interrupted")
    return {"health": health, "rate": [json.loads(rate)], "cpu": [cpu]}


def _ask(url: str) -> float:
    began = time.perf_counter()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise BenchmarkError(f"/health answered with status {answer.status}")
    return 1000 * (time.perf_counter() - began)


def main(url: str, count: int, tokens: int) -> None:
    """The client of the streams, in its own process. Prints the median of their rates."""
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    bodies = [{**prompts.question(24, str(n), tokens), "model": "fake"} for n in range(count)]
    replies = streams(url, bodies)
    if any(reply.tokens != tokens for reply in replies):
        raise BenchmarkError("a stream lost tokens")
    sys.stdout.write(json.dumps(median(reply.decode_rate for reply in replies)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
