"""What a person does on the page, in the words of the tests."""

from playwright.sync_api import Locator, Page, expect


def new_chat(page: Page) -> None:
    """An empty chat, ready to be written in."""
    page.get_by_role("button", name="New chat").first.click()
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()


def send(page: Page, text: str) -> None:
    """Write a message and send it."""
    page.get_by_role("textbox", name="Message", exact=True).fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def replies(page: Page) -> Locator:
    """The model's messages that are shown."""
    return page.get_by_role("article", name="Reply")


def finished(page: Page) -> None:
    """Wait until the last reply has been written."""
    expect(replies(page).last).to_have_attribute("aria-busy", "false")
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_hidden()


def ask(page: Page, text: str) -> None:
    """Send a message and wait for the whole reply."""
    send(page, text)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    finished(page)


def session_id(page: Page) -> str:
    """The open chat's."""
    page.wait_for_function("() => location.hash.startsWith('#/s/')")
    return page.url.partition("#/s/")[2].partition("/")[0]
