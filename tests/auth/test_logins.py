"""Browsers stay logged in over restarts, for thirty days, while their key is good; no longer."""

import json
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.auth.authenticator import Authenticator, Credentials
from appliance.auth.keys.registry import Keys
from appliance.auth.login_sessions import LOGIN_SECONDS, MOST, PAGE, ForwardClock, LoginSessions
from appliance.auth.vault.file_vaults import FileVault

DAY = 86400.0


class World:
    """A machine with an adjustable clock, on which a service is started and stopped."""

    def __init__(self, folder: Path) -> None:
        self.wall = 1_800_000_000.0
        self.steady = 0.0
        self.file = folder / "logins.json"
        self.keys = Keys(FileVault(folder / "keys.json"), clock=lambda: int(self.wall * 1000))
        self.logins = self.start()

    def start(self) -> LoginSessions:
        self.logins = LoginSessions(
            self.file, clock=ForwardClock(lambda: self.wall, lambda: self.steady)
        )
        return self.logins

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def stop(self) -> None:
        self.logins.close()

    def who(self, cookie: str) -> str | None:
        """The key that the cookie belongs to."""
        caller = Authenticator(self.keys, self.logins, auth=True).authenticate(
            Credentials(peer="10.0.0.1", sender="own page", cookie=cookie)
        )
        return caller.name if caller.scope else None

    def log_in(self, name: str) -> str:
        made = self.keys.create(name)
        return Authenticator(self.keys, self.logins, auth=True).log_in(made.key.id)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def stopped(world: World) -> None:
    world.stop()
    world.start()


def killed(world: World) -> None:
    world.start()


def not_at_all(world: World) -> None:
    pass


RESTARTS = [stopped, killed, not_at_all]
restart = pytest.mark.parametrize("restart", RESTARTS, ids=lambda it: it.__name__)


@restart
def test_a_login_survives(world: World, restart: Callable[[World], None]) -> None:
    person, page = world.log_in("Ada"), world.logins.log_in(PAGE)
    restart(world)
    assert (world.who(person), world.who(page), world.who("x")) == ("Ada", "page", None)
    world.logins.log_out(page)
    restart(world)
    assert (world.who(person), world.who(page)) == ("Ada", None)
    world.logins.log_out_all()
    restart(world)
    assert world.who(person) is None


@restart
@pytest.mark.parametrize("back", [1.0, 40 * DAY, 4000 * DAY])
def test_an_ended_login_stays_ended_when_the_clock_is_set_back(
    world: World, restart: Callable[[World], None], back: float
) -> None:
    cookie = world.log_in("Ada")
    world.pass_time(LOGIN_SECONDS - 1)
    assert world.who(cookie) == "Ada"
    world.pass_time(2)
    assert world.who(cookie) is None
    world.wall -= back
    restart(world)
    assert world.who(cookie) is None


@restart
def test_nobody_need_have_asked_for_a_login_to_end(
    world: World, restart: Callable[[World], None]
) -> None:
    cookie = world.log_in("Ada")
    world.pass_time(LOGIN_SECONDS + 1)
    world.logins.sweep()
    world.wall -= 400 * DAY
    restart(world)
    assert world.who(cookie) is None


def test_a_clock_that_is_set_back_gives_no_further_days(world: World) -> None:
    cookie = world.log_in("Ada")
    for _ in range(29):
        world.pass_time(DAY)
        world.wall -= DAY
        world.logins.sweep()
        stopped(world)
        assert world.who(cookie) == "Ada"
    world.pass_time(DAY)
    assert world.who(cookie) is None


def test_a_clock_that_was_far_ahead_lets_people_log_in_again(world: World) -> None:
    old = world.log_in("Ada")
    world.wall += 30_000 * DAY
    assert world.who(old) is None
    world.wall -= 30_000 * DAY
    stopped(world)
    new = world.log_in("Bob")
    stopped(world)
    assert world.who(new) == "Bob"
    world.pass_time(LOGIN_SECONDS + 1)
    assert world.who(new) is None


@restart
def test_a_login_ends_with_its_key(world: World, restart: Callable[[World], None]) -> None:
    cookie = world.log_in("Ada")
    world.keys.revoke(world.keys.listed()[0].id)
    restart(world)
    assert world.who(cookie) is None


def test_a_login_ends_with_the_secret_of_a_configured_key(tmp_path: Path) -> None:
    """A later key of the same name is a different key."""
    world = World(tmp_path)
    authenticator = Authenticator(world.keys, world.logins, auth=True)
    key = world.keys.allow_plain("the-first-secret-0123456789", "API_KEY", "admin")
    cookie = authenticator.log_in(key.id)
    assert world.who(cookie) == "API_KEY"
    world.keys = Keys(FileVault(tmp_path / "keys.json"))
    again = world.keys.allow_plain("the-second-secret-0123456789", "API_KEY", "admin")
    stopped(world)
    assert again.id == key.id
    assert world.who(cookie) is None


def test_the_file_has_nothing_that_lets_anybody_in(world: World) -> None:
    cookies = [world.log_in("Ada"), world.logins.log_in(PAGE)]
    content = world.file.read_text()
    assert not any(cookie in content for cookie in cookies)
    assert world.logins.launch_token not in content
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    # The file contains no cookies, and tickets last for one run.
    for digest, _ in json.loads(content)["logins"]:
        assert world.who(digest) is None
    ticket = world.logins.ticket()
    stopped(world)
    assert world.logins.redeem(ticket) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"seen": 1}', b"\xff" * 100, b"x" * 2_000_000]
)
def test_a_damaged_file_costs_the_logins_and_nothing_else(
    world: World, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cookie = world.log_in("Ada")
    world.file.write_bytes(content)
    world.start()
    assert "log in again" in caplog.text
    assert world.who(cookie) is None
    assert world.who(world.log_in("Bob")) == "Bob"


def test_no_file_gives_more_than_thirty_days(world: World) -> None:
    cookie = world.log_in("Ada")
    saved = json.loads(world.file.read_text())
    saved["logins"][0][1]["ends"] += 1000 * DAY
    world.file.write_text(json.dumps(saved))
    world.start()
    world.pass_time(LOGIN_SECONDS + 1)
    assert world.who(cookie) is None


def test_a_folder_that_cannot_be_written_keeps_nobody_out(tmp_path: Path) -> None:
    logins = LoginSessions(tmp_path / "none" / "logins.json")
    assert logins.find(logins.log_in(PAGE))


def test_logins_are_bounded_and_the_oldest_go(world: World) -> None:
    first, *others = [world.logins.log_in(PAGE) for _ in range(3)]
    world.logins._file = None  # writing each to disk is not tested here
    for _ in range(MOST - 2):
        world.logins.log_in(PAGE)
    assert world.logins.find(first) is None
    assert all(world.logins.find(cookie) for cookie in others)


def test_many_at_once(world: World) -> None:
    cookies: list[str] = []

    def work() -> None:
        for _ in range(20):
            cookies.append(world.logins.log_in(PAGE))
            world.logins.sweep()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    world.start()
    assert len(cookies) == 160
    assert all(world.logins.find(cookie) for cookie in cookies)


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(0, 1e6)), max_size=50))
def test_the_clock_never_goes_back_and_never_stands(steps: list[tuple[float, float]]) -> None:
    wall, steady = 1e9, 0.0
    clock = ForwardClock(lambda: wall, lambda: steady)
    for jump, passed in steps:
        before = clock()
        wall += jump + passed
        steady += passed
        assert clock() >= before + passed - 1e-3


# -- keys ------------------------------------------------------------------------------------------


@restart
def test_an_expired_key_stays_expired_when_the_clock_is_set_back(
    world: World, tmp_path: Path, restart: Callable[[World], None]
) -> None:
    made = world.keys.create("short", expires_at=int((world.wall + 60) * 1000))
    world.keys._watched._watch()
    assert world.keys.check(made.secret)
    world.pass_time(61)
    world.keys._watched._watch()  # as its thread does four times a second
    world.wall -= 400 * DAY
    if restart is not not_at_all:
        world.keys = Keys(FileVault(tmp_path / "keys.json"), clock=lambda: int(world.wall * 1000))
    assert world.keys.check(made.secret) is None
    assert world.keys.usable(made.key.id) is None
    assert not world.keys.listed()[0].enabled
