"""A page that needs a key: signing in and out, and the message when a key is refused."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import BRIEF
from tests.browser.page_actions import ask, replies, send
from tests.running import Running


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance that requires a key from everyone."""
    appliance = Running(
        tmp_path_factory.mktemp("locked"),
        APPLIANCE_SECURITY_ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
        API_KEY="a-long-enough-key",
        **BRIEF,
    ).start()
    yield appliance
    assert appliance.stop() == 0


def sign_in(page: Page, key: str, *, chat: bool = False) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Sign in").click()
    if not chat:
        expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()


def test_a_key_lets_in_and_signing_out_leaves_nothing(page: Page, locked: Running) -> None:
    key = locked.make_key("for a laptop", "--scope", "manage")
    page.goto(locked.url)
    page.get_by_label("Key", exact=True).fill("not-the-right-key")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("That key is not valid.")).to_be_visible()
    sign_in(page, key)
    ask(page, "Say one word about quinces.")
    page.get_by_role("button", name="Settings", exact=True).click()
    expect(page.get_by_text("Signed in as for a laptop")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("quinces")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_page_is_not_seen_for_a_moment_before_signing_in(page: Page, locked: Running) -> None:
    page.add_init_script(
        """new MutationObserver(() => {
             window.seen ||= document.querySelector("textarea") !== null;
           }).observe(document, { childList: true, subtree: true })"""
    )
    page.goto(locked.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("window.seen") is False
    sign_in(page, locked.make_key("for a look"))
    expect(page.get_by_role("textbox").first).to_be_visible()
    assert page.evaluate("window.seen") is True


def test_a_page_whose_key_was_revoked_says_so_and_keeps_what_was_typed(
    page: Page, locked: Running
) -> None:
    key = locked.make_key("for a while")
    page.goto(locked.url)
    sign_in(page, key)
    ask(page, "Say one word about medlars.")
    admin = {"Authorization": "Bearer a-long-enough-key"}
    listed = httpx.get(f"{locked.url}/api/keys", headers=admin).json()["keys"]
    (id,) = [one["id"] for one in listed if one["name"] == "for a while"]
    assert httpx.delete(f"{locked.url}/api/keys/{id}", headers=admin).status_code == 204
    send(page, "And one about figs?")
    expect(page.get_by_role("heading", name="Sign in again")).to_be_visible()
    expect(page.get_by_text("it was revoked, or it has expired")).to_be_visible()
    page.get_by_label("Key", exact=True).fill(locked.make_key("another"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_have_value(
        "And one about figs?"
    )
    expect(replies(page)).to_have_count(1)


def test_a_page_that_only_looks_on_says_so_too(page: Page, locked: Running) -> None:
    """It is no server that can't be reached."""
    page.goto(locked.url)
    sign_in(page, locked.make_key("for a glance", "--scope", "manage"))
    page.get_by_role("link", name="Models").click()
    assert locked.command("keys", "revoke", "for a glance").returncode == 0
    expect(page.get_by_role("heading", name="Sign in again")).to_be_visible()
    expect(page.get_by_text("can’t be reached")).to_have_count(0)


def test_a_chat_key_is_offered_what_it_may_do(page: Page, locked: Running) -> None:
    page.goto(locked.url)
    sign_in(page, locked.make_key("of a child"))
    expect(page.get_by_role("link", name="Models")).to_be_visible()
    expect(page.get_by_role("link", name="Keys")).to_have_count(0)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_role("textbox", name="Temperature").fill("0.3")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Settings for everybody")).to_have_count(0)
    ask(page, "Say one word about sloes.")
    page.get_by_role("textbox", name="Temperature").fill("0.2")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    page.goto(f"{locked.url}/#/everybody")
    page.goto(f"{locked.url}/#/models")
    expect(page.get_by_role("heading", level=2, name="Models")).to_be_visible()
    expect(page.get_by_role("button", name="Unload")).to_have_count(0)


def test_a_socket_that_a_key_does_not_open_any_more_says_so(page: Page, locked: Running) -> None:
    key = locked.make_key("for a moment")
    page.goto(locked.url)
    sign_in(page, key)
    ask(page, "Say one word about rowans.")
    # A page without a socket so far: it would open one for the next reply.
    page.reload()
    expect(replies(page)).to_have_count(1)
    refused: list[str] = []
    page.on("websocket", lambda one: one.on("socketerror", lambda why: refused.append(str(why))))
    assert locked.command("keys", "revoke", "for a moment").returncode == 0
    send(page, "And one about figs?")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert len(refused) == 1
    assert "Authentication failed" in refused[0]
    sign_in(page, locked.make_key("for longer"), chat=True)
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_have_value(
        "And one about figs?"
    )


def test_a_socket_with_a_wrong_key_is_not_opened(page: Page, locked: Running) -> None:
    page.goto(locked.url)
    refused: list[str] = []
    page.on("websocket", lambda one: one.on("socketerror", lambda why: refused.append(str(why))))
    ended = page.evaluate("""async () => await new Promise((resolve) => {
      const socket = new WebSocket(`ws://${location.host}/chat/ws?token=wrong`, ["appliance.v1"]);
      socket.onclose = ({ code, wasClean }) => resolve([code, wasClean]);
    })""")
    assert ended == [1006, False]
    assert "Authentication failed" in refused[0]


def test_a_page_that_asks_too_often_says_so(page: Page, locked: Running) -> None:
    key = locked.make_key("slow", "--rpm", "1")
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda f: frames.append(str(f))))
    page.goto(locked.url)
    sign_in(page, key)
    ask(page, "Say one word about sloes.")
    send(page, "And another?")
    expect(page.get_by_text("This key has reached its rate limit.")).to_be_visible()
    assert "rate_limit_exceeded" in frames[-1]
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_have_value("And another?")


def test_looks_are_remembered_for_a_browser_that_forgets(
    browser: Browser, page: Page, running: Running
) -> None:
    page.goto(running.url)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_text("Dark", exact=True).click()
    with page.expect_response("**/api/preferences"):
        page.get_by_role("button", name="Hide chats").click()
    # Another browser, without stored data.
    other = browser.new_context(viewport={"width": 1280, "height": 800})
    there = other.new_page()
    there.goto(running.url)
    there.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    expect(there.get_by_role("button", name="Show chats")).to_be_visible()
    other.close()
    undone = {"theme": None, "rail_hidden": None}
    assert httpx.patch(f"{running.url}/api/preferences", json=undone).status_code == 200


def test_a_chat_has_the_device_that_was_chosen(page: Page, running: Running) -> None:
    page.goto(running.url)
    ask(page, "Say one word about damsons.")
    (model,) = httpx.get(f"{running.url}/api/status").json()["models"]
    assert "cpu" in model["devices"]
    page.get_by_role("button", name="Settings", exact=True).click()
    device = page.get_by_role("combobox", name="Device")
    expect(device).to_be_visible()
    offered = device.locator("option").evaluate_all("all => all.map((one) => one.value)")
    assert offered == ["", "auto", *model["devices"]]
    device.select_option("cpu")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    session = page.url.rpartition("/")[2]
    stored = httpx.get(f"{running.url}/api/sessions/{session}").json()["settings"]
    assert stored["device"] == "cpu"
