"""Many threads write and read at the same time without affecting each other."""

import threading
from concurrent.futures import ThreadPoolExecutor

from appliance.store.sessions import Sessions
from tests.store.conftest import add_message

WRITERS, READERS, APPENDS = 16, 16, 100


def test_16_writers_and_16_readers_lose_nothing(sessions: Sessions) -> None:
    shared = sessions.create()
    own = [sessions.create() for _ in range(WRITERS)]
    done = threading.Event()

    def write(number: int) -> list[str]:
        added = []
        for step in range(APPENDS):
            session = shared if step % 2 else own[number]
            message = add_message(
                sessions, session.id, None, "user", f"{number} {step}", "complete"
            )
            added.append(message.id)
        return added

    def read(_: int) -> int:
        seen = looks = 0
        while not done.wait(0.05):
            now = len(sessions.messages(shared.id))
            assert now >= seen, "a message that was there is gone"
            assert len(sessions.list()) == WRITERS + 1
            seen, looks = now, looks + 1
        return looks

    with ThreadPoolExecutor(WRITERS + READERS) as pool:
        reading = [pool.submit(read, number) for number in range(READERS)]
        try:
            writing = [pool.submit(write, number) for number in range(WRITERS)]
            added = [future.result() for future in writing]
        finally:
            done.set()
        assert all(future.result() > 0 for future in reading)
    stored = {
        message.id for session in sessions.list() for message in sessions.messages(session.id)
    }
    assert stored == {message_id for batch in added for message_id in batch}
    assert len(stored) == WRITERS * APPENDS
    for number, session in enumerate(own):
        texts = [message.content for message in sessions.messages(session.id)]
        assert texts == [f"{number} {step}" for step in range(0, APPENDS, 2)]
