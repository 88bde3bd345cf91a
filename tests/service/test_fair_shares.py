"""Keys share one model fairly: a busy key waits behind a less busy one."""

import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.running import Running

FAKE_SERVICE = Path(__file__).with_name("fake_service.py")
WAITING = 100


def test_a_hundred_requests_of_one_key_delay_anothers_first_by_one_generation_at_most(
    tmp_path: Path,
) -> None:
    appliance = Running(
        tmp_path,
        command=(sys.executable, str(FAKE_SERVICE)),
        ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
        APPLIANCE_ENGINE_N_SEQ_MAX="1",
        APPLIANCE_ENGINE_MAX_WAITING=str(WAITING),
        FAKE_STEP_SECONDS="0.02",
    )
    keys = {name: appliance.make_key(name) for name in ("greedy", "modest")}
    appliance.start()
    ended: list[str] = []
    lock = threading.Lock()

    def ask(name: str) -> int:
        response = httpx.post(
            appliance.url + "/v1/completions",
            json={"prompt": name, "max_tokens": 10},
            headers={"X-API-Key": keys[name]},
            timeout=120,
        )
        with lock:
            ended.append(name)
        return response.status_code

    def waiting() -> float:
        response = httpx.get(
            appliance.url + "/api/status", headers={"X-API-Key": keys["modest"]}, timeout=60
        )
        return float(response.json()["figures"]["requests_waiting"])

    try:
        with ThreadPoolExecutor(WAITING + 8) as pool:
            asked: list[Future[int]] = [pool.submit(ask, "greedy") for _ in range(WAITING + 1)]
            deadline = time.monotonic() + 60
            while waiting() < WAITING - 10 - len(ended):
                assert time.monotonic() < deadline
            before = len(ended)
            asked.append(modest := pool.submit(ask, "modest"))
            assert modest.result(120) == 200
            with lock:
                between = ended[before : ended.index("modest")]
            # Requests that were running, and those that ended while it was on its way; the order
            # to the request is test_line's affair.
            assert len(between) <= 10, between
            assert len(ended) < WAITING
            assert {one.result(120) for one in asked} == {200}
    finally:
        assert appliance.stop() == 0
