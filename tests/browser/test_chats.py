"""Chats are found, taken out, brought back and set up; all of it by keyboard as well."""

import json
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.browser.steps import ask, finished, replies, session_id
from tests.running import Running


def test_search_leads_to_the_message(page: Page, running: Running) -> None:
    page.goto(running.url)
    ask(page, "Tell me about the zanzibar tortoise.")
    page.get_by_role("button", name="New chat").first.click()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search chats").fill("zanzibar")
    option = page.get_by_role("group", name="Messages").get_by_role("option").first
    expect(option).to_contain_text("zanzibar", ignore_case=True)
    expect(option.locator("mark").first).to_have_text("zanzibar", ignore_case=True)
    option.click()
    page.wait_for_url("**/m/*")
    found = page.url.rpartition("/m/")[2]
    expect(page.locator(f"#message-{found}")).to_be_in_viewport()


def test_an_export_can_be_imported(page: Page, running: Running, tmp_path: Path) -> None:
    page.goto(running.url)
    ask(page, "Say one word about cherries.")
    said = page.get_by_role("article").all_inner_texts()
    before = session_id(page)
    page.get_by_role("link", name="Say one word about cherries.").hover()
    page.get_by_role("button", name="Actions for chat Say one word about cherries.").first.click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Export").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    exported = json.loads(file.read_text("utf-8"))
    assert exported["format"] == "appliance.chat"
    assert len(exported["messages"]) == 2
    assert "settings" in exported["session"] or "settings" in exported

    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import a chat").click()
    chooser.value.set_files(file)
    page.wait_for_function("before => !location.hash.includes(before)", arg=before)
    expect(page.get_by_role("article")).to_have_count(2)
    assert page.get_by_role("article").all_inner_texts() == said

    broken = tmp_path / "broken.json"
    broken.write_text("{ not a chat")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import a chat").click()
    chooser.value.set_files(broken)
    expect(page.get_by_text("That file could not be imported.")).to_be_visible()


def test_settings_are_kept_by_the_server(page: Page, running: Running) -> None:
    page.goto(running.url)
    ask(page, "Say one word about plums.")
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("textbox", name="Longest reply, in tokens").fill("7")
    page.get_by_role("textbox", name="Temperature").fill("9")
    expect(page.get_by_text("From 0 to 2.")).to_be_visible()
    page.get_by_role("textbox", name="Temperature").fill("0")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    stored = httpx.get(f"{running.url}/api/sessions/{session_id(page)}").json()["settings"]
    assert (stored["max_tokens"], stored["temperature"]) == (7, 0)
    ask(page, "Tell me a long story about plums.")
    expect(replies(page).last).to_contain_text("7 tokens")
    page.get_by_role("button", name="Reset to defaults").click()
    expect(page.get_by_text("The settings are back at their defaults.")).to_be_visible()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    assert httpx.get(f"{running.url}/api/sessions/{session_id(page)}").json()["settings"] is None


def test_everything_by_keyboard(page: Page, running: Running) -> None:
    page.goto(running.url)
    keyboard = page.keyboard
    keyboard.type("Say one word about figs.")
    keyboard.press("Enter")
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    finished(page)
    keyboard.press("ArrowUp")
    expect(page.get_by_role("textbox", name="Edited message")).to_be_focused()
    keyboard.press("Escape")
    expect(page.get_by_role("textbox", name="Edited message")).to_be_hidden()
    keyboard.press("Control+Shift+o")
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    keyboard.press("Alt+ArrowDown")
    expect(page.get_by_role("article", name="Your message")).to_be_visible()
    keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search chats")).to_be_focused()
    keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    keyboard.press("Control+/")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    sheet.get_by_role("button", name="Status").focus()
    keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2, name="Status")).to_be_visible()
    keyboard.press("g")
    keyboard.press("m")
    expect(page.get_by_role("heading", level=2, name="Models")).to_be_visible()
    keyboard.press("?")
    expect(sheet).to_be_visible()
    keyboard.press("Escape")
    keyboard.press("Control+,")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    # Every control on the way has a name and is seen to have the focus.
    for _ in range(40):
        keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body"
            " || document.activeElement.matches(':focus-visible')"
        )
