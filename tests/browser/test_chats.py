"""Chats are searched, exported, imported and configured."""

import json
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.browser.page_actions import ask, replies, session_id
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
    # Its text is shown unformatted until the Markdown renderer is loaded.
    expect(replies(page).locator(".markdown p").first).to_be_visible()
    texts = page.get_by_role("article").all_inner_texts()
    before = session_id(page)
    settings = {"settings": {"temperature": 0}}
    assert httpx.patch(f"{running.url}/api/sessions/{before}", json=settings).status_code == 200
    page.get_by_role("link", name="Say one word about cherries.").hover()
    page.get_by_role("button", name="Actions for chat Say one word about cherries.").first.click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Export as JSON").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    exported = json.loads(file.read_text("utf-8"))
    assert exported["format"] == "appliance.chat"
    first_message, second_message = exported["messages"]
    assert first_message["content"] == "Say one word about cherries."
    assert second_message["usage"]["completion_tokens"] > 0
    assert exported["session"]["settings"]["temperature"] == 0
    assert exported["session"]["title"] == "Say one word about cherries."
    assert exported["metadata"]["exported_at"] > 1_700_000_000_000
    assert exported["metadata"]["appliance"]

    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="More", exact=True).click()
        page.get_by_role("menuitem", name="Import chats").click()
    chooser.value.set_files(file)
    page.wait_for_function("before => !location.hash.includes(before)", arg=before)
    expect(page.get_by_role("article")).to_have_text(texts, use_inner_text=True)
    copy = httpx.get(f"{running.url}/api/sessions/{session_id(page)}").json()
    assert copy["settings"]["temperature"] == 0

    broken = tmp_path / "broken.json"
    broken.write_text("{ not a chat")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="More", exact=True).click()
        page.get_by_role("menuitem", name="Import chats").click()
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


def test_a_chat_is_named_renamed_pinned_and_given_back(page: Page, running: Running) -> None:
    page.goto(running.url)
    ask(page, "Say one word about quinces, please.\nOr two.")
    rail = page.get_by_role("navigation", name="Chats")
    mine = rail.get_by_role("link", name="Say one word about quinces, please.")
    expect(mine).to_have_attribute("aria-current", "page")

    def choose(title: str, what: str) -> None:
        rail.get_by_role("link", name=title).hover()
        page.get_by_role("button", name=f"Actions for chat {title}").click()
        page.get_by_role("menuitem", name=what, exact=True).click()

    choose("Say one word about quinces, please.", "Rename")
    page.get_by_role("textbox", name="Title of the chat").fill("Quinces")
    page.keyboard.press("Enter")
    expect(rail.get_by_role("link", name="Quinces")).to_be_visible()
    choose("Quinces", "Pin")
    expect(rail.get_by_role("region", name="Pinned").get_by_role("link")).to_have_text("Quinces")
    open_chat = page.url
    choose("Quinces", "Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    page.wait_for_url(open_chat)
    expect(page.get_by_role("article", name="Your message")).to_be_visible()
    page.reload()
    expect(rail.get_by_role("region", name="Pinned").get_by_role("link")).to_have_text("Quinces")
    stored = httpx.get(f"{running.url}/api/sessions/{session_id(page)}").json()
    assert (stored["title"], stored["pinned"]) == ("Quinces", True)


def test_instructions_and_stop_sequences_reach_the_model(page: Page, echoing: Running) -> None:
    page.goto(echoing.url)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_role("textbox", name="Stop sequences").fill("halt")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    # The model repeats its prompt, instructions first.
    page.get_by_role("textbox", name="System prompt").fill("echo:one two halt three")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    ask(page, "Well?")
    expect(replies(page).locator(".markdown")).to_have_text("one two ")
    of_all = httpx.get(f"{echoing.url}/api/settings").json()
    assert (of_all["stop"], of_all["system_prompt"]) == (None, None)
