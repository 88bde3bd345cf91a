"""A long run in a short time: an appliance under the load of many kinds of clients, and its use of
memory, files, threads and database rows.

As a program, `python -m tests.service.endurance FILE` draws the curves of a run into an SVG file.
"""

import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.running import Running

MODELS = ("first", "second")
CLIENTS = 4
WORDS = ("river", "stone", "house", "tree", "bird")
SAMPLES = 240


@dataclass
class Sample:
    """The appliance's resources at one moment."""

    seconds: float
    requests: int
    service_mb: float
    worker_mb: float
    files: int
    threads: int
    database_mb: float
    states_mb: float


@dataclass
class Run:
    """A run of some seconds; afterwards its samples are in `samples`."""

    appliance: Running
    cache: Path
    short: int
    """Requests."""
    long: int
    seconds: float
    """Seconds that they are spread over, if the machine is fast enough."""
    swap_every: int = 250
    """Short requests before the clients switch to the other model."""
    responses: Counter[str] = field(default_factory=Counter)
    """Requests by how they ended."""
    samples: list[Sample] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._next = 0
        self._errors: list[str] = []

    def go(self) -> None:
        """Run all of it; raises any error that a client should not have had."""
        self._began = time.monotonic()
        clients = [threading.Thread(target=self._short_ones, args=(n,)) for n in range(CLIENTS)]
        clients.append(threading.Thread(target=self._long_ones))
        watcher = threading.Thread(target=self._watch)
        for thread in (*clients, watcher):
            thread.start()
        for thread in clients:
            thread.join()
        self._done.set()
        watcher.join()
        assert not self._errors, self._errors[:3]

    # -- clients -----------------------------------------------------------------------------------

    def _short_ones(self, seed: int) -> None:
        chance = random.Random(seed)
        kinds: list[Callable[[httpx.Client, random.Random, str], str]] = [
            *(self._completion, self._completion, self._stream, self._hang_up),
            *(self._chat, self._lists),
        ]
        with httpx.Client(base_url=self.appliance.url, timeout=300) as client:
            while (number := self._take()) is not None:
                model = MODELS[number // self.swap_every % 2]
                self._guarded(chance.choice(kinds), client, chance, model)

    def _long_ones(self) -> None:
        chance = random.Random(1)
        with httpx.Client(base_url=self.appliance.url, timeout=600) as client:
            for number in range(self.long):
                self._pause(number / self.long)
                self._guarded(self._long_one, client, chance, MODELS[0])

    def _take(self) -> int | None:
        with self._lock:
            number = self._next
            if number >= self.short or self._errors:
                return None
            self._next += 1
        self._pause(number / self.short)
        return number

    def _pause(self, part: float) -> None:
        """Wait until that part of the time is over."""
        time.sleep(max(0.0, self._began + part * self.seconds - time.monotonic()))

    def _guarded(
        self,
        ask: Callable[[httpx.Client, random.Random, str], str],
        client: httpx.Client,
        chance: random.Random,
        model: str,
    ) -> None:
        try:
            how = ask(client, chance, model)
        except (httpx.HTTPError, AssertionError, KeyError, ValueError) as error:
            how = "error"
            self._errors.append(f"{ask.__name__}: {error!r}")
        with self._lock:
            self.responses[how] += 1

    def _completion(self, client: httpx.Client, chance: random.Random, model: str) -> str:
        body = {"model": model, "prompt": words(chance, 12), "max_tokens": 3}
        return ended(client.post("/v1/completions", json=body))

    def _stream(self, client: httpx.Client, chance: random.Random, model: str) -> str:
        with client.stream("POST", "/v1/chat/completions", json=chat(chance, model, 4)) as response:
            lines = list(response.iter_lines())
        if response.status_code == 200:
            assert "data: [DONE]" in lines
        return ended(response)

    def _hang_up(self, client: httpx.Client, chance: random.Random, model: str) -> str:
        with client.stream(
            "POST", "/v1/chat/completions", json=chat(chance, model, 200)
        ) as response:
            next(response.iter_lines())
        return "hung up"

    def _chat(self, client: httpx.Client, chance: random.Random, model: str) -> str:
        session = client.post("/api/sessions", json={}).json()["id"]
        body = {"content": words(chance, 20), "model": model, "max_tokens": 4}
        with client.stream("POST", f"/api/sessions/{session}/turns", json=body) as response:
            response.read()
        assert client.delete(f"/api/sessions/{session}").status_code == 204
        return ended(response)

    def _lists(self, client: httpx.Client, chance: random.Random, model: str) -> str:
        for path in ("/api/sessions", "/v1/models", "/api/status", "/metrics"):
            response = client.get(path)
            assert response.status_code == 200, (path, response.text)
        return "200"

    def _long_one(self, client: httpx.Client, chance: random.Random, model: str) -> str:
        body = {"model": model, "prompt": words(chance, 400), "max_tokens": 300, "ignore_eos": True}
        return ended(client.post("/v1/completions", json=body))

    # -- its resources -----------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._done.wait(self.seconds / SAMPLES):
            self.sample()

    def sample(self) -> None:
        """Take one more sample."""
        service = psutil.Process(self.appliance.pid)
        workers = 0.0
        for child in service.children(recursive=True):
            try:
                workers += child.memory_info().rss / 1e6
            except psutil.Error:
                continue  # it ended just now, to make room for another
        self.samples.append(
            Sample(
                seconds=round(time.monotonic() - self._began, 1),
                requests=self._next,
                service_mb=service.memory_info().rss / 1e6,
                worker_mb=workers,
                files=service.num_fds(),
                threads=service.num_threads(),
                database_mb=size_mb(self.appliance.data.glob("appliance.db*")),
                states_mb=size_mb(self.cache.rglob("*.kv")),
            )
        )


def words(chance: random.Random, count: int) -> str:
    """That many random words, so that all prompts differ."""
    return " ".join(chance.choice(WORDS) for _ in range(count))


def chat(chance: random.Random, model: str, tokens: int) -> dict[str, Any]:
    """A streamed chat's body."""
    messages = [{"role": "user", "content": words(chance, 12)}]
    return {"model": model, "messages": messages, "max_tokens": tokens, "stream": True}


def ended(response: httpx.Response) -> str:
    """How it ended; there may be no room while others use a model."""
    assert response.status_code in (200, 503), response.text
    return str(response.status_code)


def size_mb(files: Any) -> float:
    """Total size of the files, some of which may be gone by now."""
    size = 0
    for file in files:
        try:
            size += file.stat().st_size
        except OSError:
            continue
    return size / 1e6


def write(run: Run, file: Path) -> None:
    """The figures of a run, as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    found = {"answers": run.responses, "samples": [asdict(sample) for sample in run.samples]}
    file.write_text(json.dumps(found))


# -- the plot --------------------------------------------------------------------------------------

CURVES = {
    "service_mb": "Memory of the service, MB",
    "worker_mb": "Memory of workers, MB",
    "files": "Open files",
    "threads": "Threads",
    "database_mb": "Database, MB",
    "states_mb": "Saved states, MB",
}
WIDTH, HEIGHT = 720, 90


def draw(samples: list[dict[str, float]]) -> str:
    """Plot the curves one below the other, over time."""
    until = samples[-1]["seconds"]
    rows = []
    for row, (name, title) in enumerate(CURVES.items()):
        values = [sample[name] for sample in samples]
        most = max(values) or 1
        bottom = (row + 1) * HEIGHT
        points = " ".join(
            f"{sample['seconds'] / until * WIDTH:.1f},{bottom - value / most * (HEIGHT - 30):.1f}"
            for sample, value in zip(samples, values, strict=True)
        )
        rows.append(
            f'<text x="0" y="{bottom - HEIGHT + 18}">{title}: {values[0]:.0f} at first, '
            f"{most:.0f} at most, {values[-1]:.0f} at the end</text>"
            f'<polyline fill="none" stroke="#3b6fb6" points="{points}"/>'
            f'<path stroke="#999" d="M0 {bottom}H{WIDTH}"/>'
        )
    below = len(CURVES) * HEIGHT + 20
    rows.append(
        f'<text x="0" y="{below}">{until / 60:.0f} minutes, '
        f"{samples[-1]['requests']:.0f} short requests</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 0 {WIDTH + 20} {below + 10}" '
        f'font-family="sans-serif" font-size="13">'
        f'<rect x="-10" width="{WIDTH + 20}" height="{below + 10}" fill="#fff"/>'
        f"{''.join(rows)}</svg>"
    )


if __name__ == "__main__":
    run, picture = map(Path, sys.argv[1:3])
    picture.write_text(draw(json.loads(run.read_text())["samples"]))
