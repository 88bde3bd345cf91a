"""A chat that was removed leaves nothing in the service's folders."""

from pathlib import Path

import httpx

from appliance.engine.kv_files import opaque
from tests.api.chat.chats import messages, new_session, turn
from tests.running import Running
from tests.store.test_deleted import found_in
from tests.waiting import wait_until

WORDS = ("Zwetschgendatschi", "Quittengelee")


def test_no_file_has_a_word_of_it(tmp_path: Path) -> None:
    appliance = Running(
        tmp_path,
        APPLIANCE_DATA_UNDO_SECONDS="0",
        APPLIANCE_ENGINE_KV_MIN_TOKENS="1",
        APPLIANCE_OBSERVABILITY_ENABLE_TRACING="true",
    ).start()
    gone, kept = new_session(appliance), new_session(appliance)
    turn(gone, f"How is {WORDS[0]} made? " * 9, max_tokens=8)
    httpx.patch(gone, json={"title": WORDS[1]}).raise_for_status()
    turn(kept, "What is bread?", max_tokens=4)
    # Saved states are written when the worker ends.
    assert appliance.stop() == 0
    name = opaque(gone.rpartition("/")[2])
    states = [file.name for file in tmp_path.rglob("*.kv")]
    assert any(state.startswith(name) for state in states), states
    assert set(found_in(appliance.data, WORDS)) == {"appliance.db"}

    appliance.start()
    assert found_in(tmp_path, WORDS).keys() == {"appliance.db"}
    assert httpx.delete(gone).status_code == 204
    wait_until(lambda: not found_in(tmp_path, WORDS), "its words are still there")
    copy = tmp_path / "copy.db"
    assert appliance.command("backup", str(copy)).returncode == 0
    assert appliance.stop() == 0
    assert found_in(tmp_path, WORDS) == {}
    states = [file.name for file in tmp_path.rglob("*.kv")]
    assert not any(state.startswith(name) for state in states)
    appliance.start(ready=False)
    assert len(messages(kept)) == 2
    assert appliance.stop() == 0
