"""User actions on the page."""

from typing import Any

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.running import Running

MOST_STOPS = 150
"""The most Tab stops of a view with many controls."""
SEEN = (
    "document.activeElement === document.body || document.activeElement.matches(':focus-visible')"
)


def new_chat(page: Page) -> None:
    """Open an empty chat with its input ready."""
    page.get_by_role("button", name="New chat").first.click()
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()


def send(page: Page, text: str) -> None:
    """Write a message and send it."""
    page.get_by_role("textbox", name="Message", exact=True).fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def replies(page: Page) -> Locator:
    """The replies that the page shows."""
    return page.get_by_role("article", name="Reply")


def finished(page: Page) -> None:
    """Wait until the last reply has been written."""
    expect(replies(page).last).to_have_attribute("aria-busy", "false")
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_hidden()


def ask(page: Page, text: str) -> None:
    """Send a message and wait for the whole reply."""
    before = replies(page).count()
    send(page, text)
    # A short reply may be there before Stop is seen.
    stop = page.get_by_role("button", name="Stop", exact=True)
    expect(stop.or_(replies(page).nth(before)).first).to_be_visible()
    finished(page)


def session_id(page: Page) -> str:
    """The open chat's session id."""
    page.wait_for_function("() => location.hash.startsWith('#/s/')")
    return page.url.partition("#/s/")[2].partition("/")[0]


def reach(page: Page, target: Locator) -> None:
    """Go to a control by Tab, checking that the focus is visible at every step."""
    expect(target).to_be_visible()
    for _ in range(MOST_STOPS):
        if target.evaluate("(target) => target === document.activeElement"):
            return
        page.keyboard.press("Tab")
        assert page.evaluate(SEEN), page.evaluate("document.activeElement.outerHTML")
    raise AssertionError(f"no way to {target} by Tab")


def press(page: Page, target: Locator) -> None:
    """Go to a control by Tab and press it."""
    reach(page, target)
    page.keyboard.press("Enter")


def long_chat(turns: int, reply: str, **of_replies: object) -> dict[str, Any]:
    """A chat in the export format, with this reply to each of its questions."""
    messages: list[dict[str, Any]] = []
    for number in range(turns):
        for role, content in (("user", f"Question {number}?"), ("assistant", reply)):
            message: dict[str, Any] = {
                "id": f"{role}-{number}",
                "parent_id": messages[-1]["id"] if messages else None,
                "role": role,
                "content": content,
                "reasoning": "",
                "status": "complete",
                "finish_reason": None if role == "user" else "stop",
                "model": None if role == "user" else "a-model",
                "created_at": number,
                "usage": None,
                "error": None,
            }
            messages.append(message | of_replies if role == "assistant" else message)
    return {
        "format": "appliance.chat",
        "version": 1,
        "metadata": {"exported_at": 0, "appliance": ""},
        "session": {
            "id": "long",
            "title": "A long chat",
            "pinned": False,
            "created_at": 0,
            "updated_at": 0,
            "leaf_id": messages[-1]["id"],
            "settings": None,
        },
        "messages": messages,
    }


def imported(running: Running, chat: dict[str, Any]) -> str:
    """The imported chat's id."""
    made = httpx.post(f"{running.url}/api/sessions/import", json=chat, timeout=60)
    assert made.status_code == 201, made.text
    id: str = made.json()["id"]
    return id
