"""Folders, deleted and temporary chats, drafts; and lists that are long."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.page_actions import ask, finished, imported, new_chat, send
from tests.running import WITHOUT_MODEL, Running
from tests.store.test_deleted import found_in

SECRET = "Stachelbeertorte"
MANY, LONG = 3000, 1500


def menu(page: Page, item: str) -> None:
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name=item).click()


def chat_file(title: str, count: int) -> dict[str, Any]:
    """A chat with so many messages, as an exported file."""
    messages = [
        {
            "id": f"{title}-{number}",
            "parent_id": f"{title}-{number - 1}" if number else None,
            "role": "assistant" if number % 2 else "user",
            "content": f"Number {number}. " + "Some words. " * (number % 7 * 10),
            "reasoning": "",
            "status": "complete",
            "finish_reason": "stop" if number % 2 else None,
            "model": None,
            "created_at": 1_700_000_000_000 + number,
            "usage": None,
            "error": None,
        }
        for number in range(count)
    ]
    return {
        "format": "appliance.chat",
        "version": 1,
        "metadata": {"exported_at": 1, "appliance": "1"},
        "session": {
            "id": title,
            "title": title,
            "pinned": False,
            "created_at": 1_700_000_000_000,
            "updated_at": 1_700_000_000_000,
            "leaf_id": messages[-1]["id"],
            "settings": None,
        },
        "messages": messages,
    }


def import_many(running: Running, chats: list[dict[str, Any]]) -> None:
    document = {"format": "appliance.chats", "version": 1, "chats": chats}
    response = httpx.post(
        f"{running.url}/api/import",
        content=json.dumps(document),
        headers={"Content-Type": "application/json"},
        timeout=120,
    )
    assert response.json()["failed"] == []


def test_a_folder_and_what_is_dropped_on_it_in_two_windows(
    page: Page, context: BrowserContext, echoing: Running
) -> None:
    page.goto(echoing.url)
    new_chat(page)
    ask(page, "Apricots")
    other = context.new_page()
    other.goto(echoing.url)
    menu(page, "New folder")
    page.get_by_role("textbox", name="Name").fill("Fruit")
    page.get_by_role("textbox", name="System prompt").fill("You know fruit.")
    page.get_by_role("button", name="Create").click()
    folder = page.get_by_role("region", name="Fruit")
    page.get_by_role("navigation", name="Chats").get_by_role("link", name="Apricots").drag_to(
        folder
    )
    expect(folder).to_contain_text("1")
    folder.get_by_role("button", name="Fruit", exact=False).first.click()
    expect(folder.get_by_role("link", name="Apricots")).to_be_visible()
    expect(other.get_by_role("region", name="Fruit")).to_contain_text("1")

    page.get_by_role("button", name="Actions for folder Fruit").click()
    page.get_by_role("menuitem", name="New chat here").click()
    expect(page.get_by_role("heading", name="New chat in Fruit")).to_be_visible()
    ask(page, "Plums")
    expect(folder.get_by_role("link", name="Plums")).to_be_visible()
    made = httpx.get(f"{echoing.url}/api/sessions").json()["sessions"][0]
    assert made["settings"]["system_prompt"] == "You know fruit."
    page.get_by_role("button", name="Actions for folder Fruit").click()
    page.get_by_role("menuitem", name="Delete folder").click()
    page.get_by_role("button", name="Delete 2 chats").click()
    expect(other.get_by_role("region", name="Fruit")).to_have_count(0)
    menu(other, "Recently deleted")
    place = other.get_by_role("dialog", name="Recently deleted")
    expect(place).to_contain_text("30 days")
    place.get_by_role("listitem").filter(has_text="Plums").get_by_role(
        "button", name="Restore"
    ).click()
    rail = page.get_by_role("navigation", name="Chats")
    expect(rail.get_by_role("link", name="Plums")).to_be_visible()
    other.close()


def test_a_draft_outlives_a_reload_and_is_on_another_device(
    page: Page, context: BrowserContext, echoing: Running
) -> None:
    page.goto(echoing.url)
    new_chat(page)
    box = page.get_by_role("textbox", name="Message", exact=True)
    with page.expect_response(lambda one: one.url.endswith("/api/drafts") and one.ok):
        box.fill("Not sent yet")
    page.reload()
    expect(box).to_have_value("Not sent yet")
    other = context.new_page()
    other.goto(echoing.url)
    expect(other.get_by_role("textbox", name="Message", exact=True)).to_have_value("Not sent yet")
    other.close()
    with page.expect_response(
        lambda one: one.url.endswith("/api/drafts") and one.request.method == "PUT"
    ):
        send(page, "Sent now")
    finished(page)
    assert httpx.get(f"{echoing.url}/api/drafts").json()["drafts"] == {}


def test_a_refused_first_message_leaves_no_chat(page: Page, echoing: Running) -> None:
    before = len(httpx.get(f"{echoing.url}/api/sessions").json()["sessions"])
    page.goto(echoing.url)
    new_chat(page)
    page.route(
        re.compile("/chat/ws"), lambda route: route.abort()
    )  # so that it is sent by HTTP, and refused there
    limit = httpx.get(f"{echoing.url}/api/settings").json()["limits"]["max_prompt_length"]
    box = page.get_by_role("textbox", name="Message", exact=True)
    box.fill("x" * (limit + 1))
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text(re.compile("at most .* are allowed"))).to_be_visible()
    expect(box).to_have_value(re.compile("^x+$"))
    page.wait_for_function("() => location.hash === '#/'")
    assert len(httpx.get(f"{echoing.url}/api/sessions").json()["sessions"]) == before
    assert "x" not in [
        one["title"][:1] for one in httpx.get(f"{echoing.url}/api/deleted").json()["sessions"]
    ]
    box.fill("")


def test_a_temporary_chat_touches_no_disk(page: Page, tmp_path: Path) -> None:
    appliance = Running(tmp_path, command=WITHOUT_MODEL).start()
    page.goto(appliance.url)
    menu(page, "Temporary chat")
    expect(page.get_by_role("heading", name="Temporary chat").first).to_be_visible()
    ask(page, f"How is {SECRET} made?")
    expect(page.get_by_text("never stored on a disk")).to_be_visible()
    box = page.get_by_role("textbox", name="Message", exact=True)
    box.fill(f"And without {SECRET}?")
    page.wait_for_timeout(1500)  # a draft would be stored by now
    assert httpx.get(f"{appliance.url}/api/sessions").json()["sessions"] == []
    assert appliance.stop() == 0
    assert found_in(tmp_path, (SECRET,)) == {}
    appliance.start()
    page.reload()
    expect(page.get_by_role("heading", name="Temporary chat").first).to_be_visible()
    expect(page.get_by_text(SECRET)).to_have_count(0)
    assert appliance.stop() == 0


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Any:
    appliance = Running(tmp_path_factory.mktemp("full"), command=WITHOUT_MODEL).start()
    import_many(appliance, [chat_file(f"Chat-{number}", 1) for number in range(MANY)])
    imported(appliance, chat_file("Endless", LONG))
    yield appliance
    assert appliance.stop() == 0


def test_a_long_list_is_sent_once_and_shown_in_part(page: Page, full: Running) -> None:
    polls: list[int] = []
    page.on(
        "response",
        lambda one: polls.append(len(one.body())) if "since=" in one.url else None,
    )
    page.goto(full.url)
    nav = page.get_by_role("navigation", name="Chats")
    nav.get_by_role("link").first.wait_for()
    rows = "document.querySelectorAll('[data-chat]').length"
    assert page.evaluate(rows) < 100
    page.wait_for_function("() => document.querySelector('nav').scrollHeight > 3000 * 37")
    nav.evaluate("nav => nav.scrollTo(0, nav.scrollHeight)")
    expect(nav.get_by_role("link", name="Chat-0", exact=True)).to_be_visible()
    assert page.evaluate(rows) < 100
    polls.clear()
    session = httpx.get(f"{full.url}/api/sessions?limit=1").json()["sessions"][0]["id"]
    change = {"title": "Changed elsewhere", "pinned": True}
    httpx.patch(f"{full.url}/api/sessions/{session}", json=change).raise_for_status()
    nav.evaluate("nav => nav.scrollTo(0, 0)")
    expect(nav.get_by_role("link", name="Changed elsewhere")).to_be_visible()
    assert polls and max(polls) < 1000, "what changed is sent, not the list"


def test_a_long_chat_is_rendered_in_part_and_keeps_the_readers_place(
    page: Page, full: Running
) -> None:
    page.goto(f"{full.url}/#/s/Endless")
    last = page.get_by_text(f"Number {LONG - 1}.", exact=False)
    expect(last).to_be_in_viewport()
    rows = "document.querySelectorAll('[data-message]').length"
    assert page.evaluate(rows) < 80
    frame = page.get_by_role("group", name="Messages")
    frame.evaluate("frame => frame.scrollTo(0, 0)")
    # The beginning follows the newest messages.
    for _ in range(600):
        if page.get_by_text(re.compile(r"^Number 0\.")).count():
            break
        page.wait_for_timeout(100)
        frame.evaluate("frame => frame.scrollTo(0, 0)")
    expect(page.get_by_text(re.compile(r"^Number 0\."))).to_be_in_viewport()
    assert page.evaluate(rows) < 80
    frame.hover()
    for _ in range(20):
        page.mouse.wheel(0, 400)
        page.wait_for_timeout(30)
    seen = page.evaluate(
        """() => [...document.querySelectorAll('[data-message]')]
        .filter(one => one.getBoundingClientRect().bottom > 100
            && one.getBoundingClientRect().top < innerHeight - 200).length"""
    )
    assert seen > 0, "the page is not blank where the reader is"
    assert page.evaluate(rows) < 80
    page.goto(f"{full.url}/#/s/Endless/m/Endless-700")
    expect(page.get_by_text("Number 700.", exact=False)).to_be_in_viewport()
    assert page.evaluate(rows) < 80
    page.get_by_role("button", name="Jump to newest").click()
    expect(last).to_be_in_viewport()
