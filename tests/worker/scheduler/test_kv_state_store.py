"""Saved states: budgets, files that outlive the worker, damaged files, deleted sessions."""

import stat
import threading
from pathlib import Path

import pytest

from appliance.engine.kv_files import READING, forget_session, forget_stateless, opaque
from appliance.worker.runners.checkpoints import Checkpoint
from appliance.worker.scheduler.kv_state_store import KvStateStore
from appliance.worker.scheduler.prompt_tokens import PromptTokens, Scope

MANY = 10**9


def tokens(text: str, session: str = "a chat", owner: str = "") -> PromptTokens:
    return PromptTokens(list(text.encode()), Scope(owner, opaque(session) if session else ""))


def store(folder: Path | None = None, **changes: object) -> KvStateStore:
    settings: dict[str, object] = {
        "fingerprint": "model",
        "folder": folder,
        "memory_bytes": MANY,
        "disk_bytes": MANY if folder else 0,
        "min_tokens": 4,
        "min_length": lambda length: 0,
    }
    return KvStateStore(**(settings | changes))  # type: ignore[arg-type]


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.kv"))


def test_the_state_that_reaches_farthest_is_found() -> None:
    kept = store()
    kept.put(tokens("aaaa"), b"short")
    kept.put(tokens("bbbbbb"), b"other")
    kept.put(tokens("aaaabbbb"), b"long")
    wanted = tokens("aaaabbcc")
    assert kept.cached_prefix(wanted) == 6
    found = kept.take(wanted)
    assert found
    assert (found.state, found.origin, found.tokens) == (b"long", "memory", tokens("aaaabbbb"))
    assert kept.take(tokens("xyz")) is None


def test_a_state_that_cannot_be_cut_is_found_only_if_all_of_it_fits() -> None:
    kept = store(min_length=lambda length: length)
    kept.put(tokens("aaaabbbb"), b"long")
    kept.put(tokens("aaaa"), b"short")
    assert kept.cached_prefix(tokens("aaabbbb")) == 0
    assert kept.common_prefix(tokens("aaaabbcc")) == 6
    found = kept.take(tokens("aaaabbcc"))
    assert found
    assert found.state == b"short"


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_state_with_checkpoints_can_be_cut_there(tmp_path: Path, on_disk: bool) -> None:
    kept = store(tmp_path, min_length=lambda length: length)
    points = [Checkpoint(3, b"early"), Checkpoint(5, b"late", turn=True)]
    kept.put(tokens("aaaaabbbbb"), b"state", points)
    if on_disk:
        kept.close()
        kept = store(tmp_path, min_length=lambda length: length)
    for wanted, reached in (("aaaaabbbbbc", 10), ("aaaaabbc", 5), ("aaaac", 3), ("aaac", 3)):
        assert kept.cached_prefix(tokens(wanted)) == reached
        found = kept.take(tokens(wanted))
        assert found
        assert (found.state, found.checkpoints) == (b"state", points)
    assert kept.take(tokens("aac")) is None
    kept.close()


def test_between_two_that_lie_a_window_apart_it_can_be_cut_anywhere() -> None:
    kept = store(min_length=lambda length: length - 1, reach=4)
    kept.put(tokens("aaaaabbbbb"), b"state", [Checkpoint(2, b"early"), Checkpoint(6, b"late")])
    for wanted, reached in (("a", 1), ("aaac", 3), ("aaaaac", 5), ("aaaaabbc", 7)):
        assert kept.cached_prefix(tokens(wanted)) == reached


def test_a_file_of_an_earlier_form_is_no_state(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.put(tokens("aaaabbbb"), b"state")
    kept.close()
    (file,) = files(tmp_path)
    file.write_bytes(b"APPLKV1\n" + file.read_bytes()[8:])
    assert store(tmp_path).cached_prefix(tokens("aaaabbbb")) == 0
    assert files(tmp_path) == []


def test_what_is_covered_or_short_is_not_wanted() -> None:
    kept = store(min_tokens=10)
    assert not kept.should_save(tokens("short"))
    assert kept.should_save(tokens("x" * 40))
    kept.put(tokens("x" * 40), b"state")
    assert not kept.should_save(tokens("x" * 40))
    assert not kept.should_save(tokens("x" * 30))
    assert kept.should_save(tokens("x" * 40 + "y" * 20))
    assert not store(memory_bytes=0).should_save(tokens("x" * 40))


def test_memory_keeps_to_its_budget_and_lets_the_oldest_go() -> None:
    kept = store(memory_bytes=250)
    for letter in "abc":
        kept.put(tokens(letter * 8), bytes(100))
    assert kept.cached_prefix(tokens("a" * 8)) == 0
    assert kept.cached_prefix(tokens("b" * 8)) == 8
    assert kept.cached_prefix(tokens("c" * 8)) == 8


def test_states_outlive_the_worker(tmp_path: Path) -> None:
    first = store(tmp_path)
    first.put(tokens("a chat of some length"), b"its state")
    first.close()
    second = store(tmp_path)
    found = second.take(tokens("a chat of some length, continued"))
    assert found
    assert (found.state, found.origin) == (b"its state", "disk")
    second.close()


def test_what_memory_cannot_hold_goes_to_disk(tmp_path: Path) -> None:
    kept = store(tmp_path, memory_bytes=150)
    for letter in "abc":
        kept.put(tokens(letter * 8), letter.encode() * 100)
    kept.close()
    for letter in "abc":
        found = kept.take(tokens(letter * 9))
        assert found
        assert found.state == letter.encode() * 100


def test_the_disk_keeps_to_its_budget_over_all_models(tmp_path: Path) -> None:
    for model in ("one", "two"):
        kept = store(tmp_path, fingerprint=model, disk_bytes=3000)
        for letter in "abcd":
            kept.put(tokens(letter * 8), bytes(800))
            kept.write_idle()
        kept.close()
    assert sum(file.stat().st_size for file in files(tmp_path)) <= 3000
    assert all(file.parent.name == "two" for file in files(tmp_path))


@pytest.mark.parametrize("place", [0, 10, 60, -1])
def test_a_damaged_file_is_dropped_and_the_next_best_taken(tmp_path: Path, place: int) -> None:
    kept = store(tmp_path)
    kept.put(tokens("beginning"), b"s" * 1000)
    kept.put(tokens("begin, differently"), b"t" * 1000)
    kept.close()
    (victim,) = [file for file in files(tmp_path) if b"t" * 1000 in file.read_bytes()]
    data = bytearray(victim.read_bytes())
    data[place] ^= 0xFF
    victim.write_bytes(data)
    again = store(tmp_path)
    found = again.take(tokens("begin, differently"))
    assert found is None or found.state == b"s" * 1000
    assert not victim.exists()


@pytest.mark.parametrize("content", [b"", b"APPLKV2\n", b"hello", b"APPLKV2\n\xff\xff\xff\xff"])
def test_a_foreign_file_is_dropped(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "none-1-1.kv").write_bytes(content)
    kept = store(tmp_path)
    assert kept.cached_prefix(tokens("anything")) == 0
    assert files(tmp_path) == []


def test_a_file_cut_short_is_dropped(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.put(tokens("beginning"), b"s" * 1000)
    kept.close()
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    for length in range(0, len(whole), 37):
        file.write_bytes(whole[:length])
        assert store(tmp_path).take(tokens("beginning")) is None
        assert files(tmp_path) == []


def test_states_of_another_model_or_build_are_not_used(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.put(tokens("beginning"), b"state")
    kept.close()
    other = store(tmp_path, fingerprint="other")
    assert other.cached_prefix(tokens("beginning")) == 0
    (file,) = files(tmp_path)
    moved = tmp_path / "other" / file.name
    file.rename(moved)
    assert store(tmp_path, fingerprint="other").cached_prefix(tokens("beginning")) == 0
    assert not moved.exists()


def test_a_session_that_is_deleted_takes_its_states_along(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.put(tokens("secret chat", "a/../b"), b"secret")
    kept.put(tokens("other chat", "other"), b"other")
    kept.close()
    again = store(tmp_path)
    again.forget(opaque("a/../b"))
    assert len(files(tmp_path)) == 1
    assert again.cached_prefix(tokens("secret chat")) == 0
    forget_session(tmp_path, "other")
    assert files(tmp_path) == []
    assert again.take(tokens("other chat")) is None


def test_a_state_deleted_while_it_is_written_leaves_no_file(tmp_path: Path) -> None:
    for _ in range(20):
        kept = store(tmp_path)
        kept.put(tokens("secret chat", "secret"), bytes(200_000))
        kept.write_idle()
        kept.forget(opaque("secret"))
        kept.close()
        assert files(tmp_path) == []


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    kept = store(tmp_path / "kv")
    kept.put(tokens("private"), b"state")
    kept.close()
    (file,) = files(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_half_written_file_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "none-1-1.part").write_bytes(b"half")
    store(tmp_path)
    assert list(folder.iterdir()) == []


def test_a_file_that_a_worker_died_of_is_not_read_again(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.put(tokens("aaaa", "mine"), b"state")
    kept.close()
    (file,) = files(tmp_path)
    found = store(tmp_path).take(tokens("aaaab", "mine"))
    assert found and found.state == b"state"
    assert files(tmp_path) == [file], "it serves again"

    file.rename(file.with_suffix(READING))
    assert store(tmp_path).take(tokens("aaaab", "mine")) is None
    assert files(tmp_path) == []


def test_a_session_that_is_deleted_takes_what_is_being_read_along(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.put(tokens("aaaa", "mine"), b"state")
    kept.close()
    (file,) = files(tmp_path)
    file.rename(file.with_suffix(READING))
    forget_session(tmp_path, "mine")
    assert files(tmp_path) == []


def test_a_disk_that_is_full_costs_the_states_and_nothing_else(tmp_path: Path) -> None:
    kept = store(tmp_path)
    folder = tmp_path / "model"
    folder.rmdir()
    folder.write_text("no folder any more")
    kept.put(tokens("a chat"), b"state")
    kept.write_idle()
    kept.close()
    assert kept.take(tokens("a chat"))


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    before = threading.active_count()
    kept = store(None)
    kept.put(tokens("a chat"), b"state")
    kept.write_idle()
    kept.close()
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tier", ["memory", "disk"])
def test_an_owner_finds_what_is_theirs_and_who_goes_on_with_a_chat_finds_that(
    tmp_path: Path, tier: str
) -> None:
    kept = store(tmp_path)
    kept.put(tokens("a secret, and more", "hers", "alice"), b"state")
    if tier == "disk":
        kept.close()
        kept = store(tmp_path)
    right, wrong = "a secret, and so on", "a sekret, and so on"
    for guess in (right, wrong):
        for session in ("", "his"):
            assert kept.cached_prefix(tokens(guess, session, "bob")) == 0
            assert kept.common_prefix(tokens(guess, session, "bob")) == 0
            assert kept.take(tokens(guess, session, "bob")) is None
            assert kept.should_save(tokens(guess, session, "bob"))
    assert kept.cached_prefix(tokens(right, "another of hers", "alice")) == 14
    assert kept.cached_prefix(tokens(right, "", "alice")) == 14
    assert kept.cached_prefix(tokens(right, "hers", "bob")) == 14
    kept.close()


def test_what_an_administrator_shares_is_found_to_its_end_and_no_further() -> None:
    kept = store()
    hers = tokens("You are kind. A secret", "hers", "alice")
    hers.scope = Scope(hers.scope.owner, hers.scope.session, 13)
    kept.put(hers, b"state")
    his = tokens("You are kind. A secret", "his", "bob")
    assert kept.cached_prefix(his) == 0, "he did not begin with it"
    his.scope = Scope(his.scope.owner, his.scope.session, 13)
    assert kept.cached_prefix(his) == 13
    assert kept.should_save(his[:13]) is False


def test_what_belongs_to_no_session_is_never_written(tmp_path: Path) -> None:
    kept = store(tmp_path, memory_bytes=150)
    for letter in "abc":
        kept.put(tokens(letter * 8, ""), letter.encode() * 100)
    assert kept.memory_held <= 150
    kept.write_idle()
    kept.close()
    assert files(tmp_path) == []


def test_a_state_of_no_session_takes_no_session_s_place(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.put(tokens("a chat of some length"), b"state")
    kept.put(tokens("a chat of some length, continued elsewhere", ""), b"longer")
    assert kept.should_save(tokens("a chat of some length, continued elsewhere"))
    kept.close()
    (file,) = files(tmp_path)
    assert b"elsewhere" not in file.read_bytes()


def test_files_from_before_owners_serve_their_own_sessions(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.put(tokens("a chat", "hers"), b"state")
    kept.close()
    again = store(tmp_path)
    assert again.cached_prefix(tokens("a chat", "hers", "alice")) == 6
    assert again.cached_prefix(tokens("a chat", "another", "alice")) == 0


def test_what_stateless_prompts_left_before_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("none-1-1.kv", "none-1-2.part", f"none-1-3{READING}", "0a-1-1.kv"):
        (tmp_path / "model" / name).write_bytes(b"state")
    forget_stateless(tmp_path)
    assert [file.name for file in files(tmp_path)] == ["0a-1-1.kv"]
