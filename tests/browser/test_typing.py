"""Enter, as input methods and screen keyboards mean it; and the way to the input by Tab."""

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.page_actions import ask, finished, new_chat, replies
from tests.running import Running

ACCEPTED = {"key": "Enter", "keyCode": 229, "bubbles": True, "cancelable": True}
"""How WebKit reports the Enter that ends a composition: after its end."""


def message(page: Page) -> Locator:
    """The input."""
    return page.get_by_role("textbox", name="Message", exact=True)


def test_enter_that_accepts_a_suggestion_does_nothing_else(page: Page, echoing: Running) -> None:
    page.goto(echoing.url)
    new_chat(page)
    ask(page, "echo:one")
    message(page).fill("にほん")
    message(page).dispatch_event("keydown", ACCEPTED)
    expect(message(page)).to_have_value("にほん")
    expect(replies(page)).to_have_count(1)

    page.get_by_role("article", name="Your message").hover()
    page.get_by_role("button", name="Edit message").click()
    edited = page.get_by_role("textbox", name="Edited message")
    edited.dispatch_event("keydown", ACCEPTED)
    expect(edited).to_be_visible()
    page.get_by_role("button", name="Cancel").click()

    page.get_by_role("link", name="echo:one").first.hover()
    page.get_by_role("button", name="Actions for chat echo:one").first.click()
    page.get_by_role("menuitem", name="Rename").click()
    title = page.get_by_role("textbox", name="Title of the chat")
    title.dispatch_event("keydown", ACCEPTED)
    expect(title).to_be_focused()
    title.press("Escape")

    page.get_by_role("button", name="Search chats").click()
    search = page.get_by_role("combobox", name="Search chats")
    search.dispatch_event("keydown", ACCEPTED)
    expect(search).to_be_visible()


def test_enter_makes_a_line_on_a_phone(browser: Browser, echoing: Running) -> None:
    phone = browser.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True
    )
    page = phone.new_page()
    page.goto(echoing.url)
    message(page).tap()
    assert message(page).get_attribute("enterkeyhint") == "enter"
    page.keyboard.type("echo:one")
    page.keyboard.press("Enter")
    page.keyboard.type("two")
    expect(message(page)).to_have_value("echo:one\ntwo")
    expect(replies(page)).to_have_count(0)
    page.get_by_role("button", name="Send", exact=True).tap()
    finished(page)
    expect(page.get_by_role("article", name="Your message")).to_have_text("echo:one\ntwo")
    phone.close()


def test_the_input_is_one_tab_away(page: Page, echoing: Running) -> None:
    page.goto(echoing.url)
    expect(message(page)).to_be_focused()
    page.evaluate("() => { document.body.tabIndex = -1; document.body.focus(); }")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the message")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    before = page.url
    page.keyboard.press("Enter")
    expect(message(page)).to_be_focused()
    assert page.url == before
