"""`appliance backup` and `appliance restore`."""

import json
from pathlib import Path

import httpx

from tests.api.chat.chats import messages, new_session, turn
from tests.running import Running


def test_chats_are_copied_while_the_service_runs_and_come_back(tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    kept, copy = new_session(appliance), tmp_path / "copies" / "chats.db"
    turn(kept, "What is bread?", max_tokens=4)
    before = messages(kept)
    made = appliance.command("backup", str(copy), "--json")
    result = json.loads(made.stdout)
    assert result["path"] == str(copy)
    assert (result["bytes"], result["tables"]["messages"]) == (copy.stat().st_size, 2)
    assert copy.stat().st_mode & 0o077 == 0
    later = new_session(appliance)
    assert httpx.delete(kept).status_code < 300

    refused = appliance.command("restore", str(copy))
    assert refused.returncode != 0
    assert f"process {appliance.pid}" in refused.stderr
    assert appliance.stop() == 0

    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(copy.read_bytes()[:5000])
    refused = appliance.command("restore", str(damaged))
    assert refused.returncode != 0 and "damaged" in refused.stderr

    restored = json.loads(appliance.command("restore", str(copy), "--json").stdout)
    assert Path(restored["kept"]).exists()
    appliance.start()
    assert messages(kept) == before
    assert httpx.get(later).status_code == 404
    assert appliance.stop() == 0


def test_without_a_name_it_lies_beside_the_chats_and_what_is_left_is_salvaged(
    tmp_path: Path,
) -> None:
    appliance = Running(tmp_path).start(ready=False)
    chat = new_session(appliance)
    refused = appliance.command("salvage")
    assert refused.returncode != 0 and "another appliance uses" in refused.stderr
    assert appliance.stop() == 0
    made = appliance.command("backup")
    (file,) = (appliance.data / "backups").glob("appliance-*.db")
    assert str(file) in made.stdout
    assert "read back whole" in made.stdout

    database = appliance.data / "appliance.db"
    content = bytearray(database.read_bytes())
    content[:100] = b"?" * 100
    database.write_bytes(content)
    broken = appliance.command("serve", "--no-open")
    assert broken.returncode == 1 and "`appliance salvage` reads what it still" in broken.stderr
    found = json.loads(appliance.command("salvage", "--json").stdout)
    assert found["chats"] == 1
    result = appliance.command("restore", found["path"]).stdout
    assert "were damaged; as they were, they are in" in result
    appliance.start(ready=False)
    assert httpx.get(chat).status_code == 200
    assert appliance.stop() == 0
