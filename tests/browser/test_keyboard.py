"""Every function without a mouse: by Tab, Enter, arrows and the listed shortcuts."""

import json
import re
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.browser.page_actions import SEEN, ask, finished, imported, long_chat, press, reach
from tests.models.fake_hub import REPO, Behaviour, Hub
from tests.running import Running


def test_the_shortcuts_of_the_sheet(page: Page, running: Running) -> None:
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
    keyboard.type("figs")
    expect(page.get_by_role("group", name="Messages").get_by_role("option").first).to_be_visible()
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    keyboard.press("Control+b")
    expect(page.get_by_role("button", name="Show chats")).to_be_visible()
    keyboard.press("Control+b")
    expect(page.get_by_role("button", name="Hide chats")).to_be_visible()
    keyboard.press("Control+/")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    press(page, sheet.get_by_role("button", name="Status"))
    expect(page.get_by_role("heading", level=2, name="Status")).to_be_visible()
    for key, view in (("m", "Models"), ("k", "Keys"), ("s", "Status")):
        keyboard.press("g")
        keyboard.press(key)
        expect(page.get_by_role("heading", level=2, name=view)).to_be_visible()
    keyboard.press("?")
    expect(sheet).to_be_visible()
    keyboard.press("Escape")
    keyboard.press("Control+,")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    # The focus is visible at every stop.
    for _ in range(60):
        keyboard.press("Tab")
        assert page.evaluate(SEEN)


def test_what_is_done_with_messages(page: Page, running: Running) -> None:
    code = "Some code:\n\n```python\nx = 1\n```\n\nAnd `more` of it."
    chat = long_chat(1, code, status="stopped", finish_reason=None)
    page.goto(f"{running.url}/#/s/{imported(running, chat)}")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    pasted = "navigator.clipboard.readText()"
    press(page, page.get_by_role("button", name="Copy code"))
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate(pasted) == "x = 1"
    press(page, page.get_by_title("Copy this piece of code"))
    page.wait_for_function(f"async () => await {pasted} === 'more'")
    press(page, page.get_by_role("button", name="Copy as Markdown"))
    page.wait_for_function(f"async (code) => await {pasted} === code", arg=code)
    press(page, page.get_by_role("button", name="Continue"))
    finished(page)
    press(page, page.get_by_role("button", name="Write another reply"))
    expect(page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    finished(page)
    press(page, page.get_by_title("Details of this reply"))
    expect(page.get_by_text("Seed", exact=True)).to_be_visible()
    press(page, page.get_by_role("button", name="Earlier version"))
    expect(page.get_by_role("figure", name="Code, python")).to_be_visible()
    press(page, page.get_by_role("button", name="Edit message"))
    page.keyboard.press("Control+a")
    page.keyboard.type("Say one word about loquats.")
    press(page, page.get_by_role("button", name="Send", exact=True).first)
    expect(page.get_by_role("article", name="Your message")).to_have_text(
        "Say one word about loquats."
    )
    page.keyboard.press("Escape")
    finished(page)


def test_what_is_done_with_chats(page: Page, running: Running, tmp_path: Path) -> None:
    page.goto(running.url)
    ask(page, "Say one word about guavas.")
    rail = page.get_by_role("navigation", name="Chats")

    def choose(title: str, steps: int) -> None:
        press(page, page.get_by_role("button", name=f"Actions for chat {title}"))
        expect(page.get_by_role("menuitem").first).to_be_focused()
        for _ in range(steps):
            page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")

    choose("Say one word about guavas.", 0)
    expect(page.get_by_role("textbox", name="Title of the chat")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("Guavas")
    page.keyboard.press("Enter")
    expect(rail.get_by_role("link", name="Guavas")).to_be_visible()
    choose("Guavas", 1)
    expect(rail.get_by_role("region", name="Pinned")).to_contain_text("Guavas")
    with page.expect_download() as download:
        choose("Guavas", 6)
    file = tmp_path / "guavas.json"
    download.value.save_as(file)
    assert json.loads(file.read_text("utf-8"))["session"]["title"] == "Guavas"
    choose("Guavas", 7)
    press(page, page.get_by_role("dialog").get_by_role("button", name="Delete"))
    expect(rail.get_by_role("link", name="Guavas")).to_have_count(0)
    press(page, page.get_by_role("button", name="Undo"))
    expect(rail.get_by_role("link", name="Guavas")).to_have_count(1)
    with page.expect_file_chooser() as chooser:
        press(page, page.get_by_role("button", name="More", exact=True))
        expect(page.get_by_role("menuitem").first).to_be_focused()
        for _ in range(3):
            page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
    chooser.value.set_files(file)
    expect(rail.get_by_role("link", name="Guavas")).to_have_count(2)


def test_models(page: Page, hub: Hub, tmp_path: Path) -> None:
    hub.always = Behaviour(drip=0.01)
    appliance = Running(tmp_path, HF_ENDPOINT=hub.url).start()
    page.goto(f"{appliance.url}/#/models")
    bundled = page.get_by_role("article").filter(has_text="Comes with the appliance")
    press(page, bundled.get_by_role("button", name="Unload"))
    expect(bundled).to_contain_text("Not loaded")
    press(page, bundled.get_by_role("button", name="Load"))
    expect(bundled).to_contain_text("Ready")

    too_big = page.locator("summary").filter(has_text="too big")
    if too_big.count():
        press(page, too_big)
        expect(page.get_by_text("Too big for this machine").first).to_be_visible()
    reach(page, page.get_by_role("searchbox", name="Name of a model"))
    page.keyboard.type("qwen2.5")
    page.keyboard.press("Enter")
    found = page.get_by_role("region", name="On the hub")
    expect(found.get_by_text(REPO)).to_be_visible()
    reach(page, page.get_by_role("combobox", name="Weights"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    press(page, found.get_by_role("button", name=f"Download {REPO}"))
    download = page.get_by_role("article", name=f"Download of {REPO}")
    expect(download).to_contain_text(re.compile(r"Downloading · [1-9]"))
    press(page, download.get_by_role("button", name="Pause"))
    expect(download).to_contain_text("Paused")
    hub.always = Behaviour()
    press(page, download.get_by_role("button", name="Resume"))
    arrived = page.get_by_role("article").filter(has_text="Downloaded here")
    press(page, arrived.get_by_role("button", name="Use for every chat"))
    expect(arrived.get_by_text("In use")).to_be_visible()
    press(page, arrived.get_by_role("button", name="Remove"))
    press(page, page.get_by_role("dialog").get_by_role("button", name="Remove"))
    expect(arrived).to_be_hidden()
    hub.always = Behaviour(stall=True, cut=100_000)
    press(page, found.get_by_role("button", name=f"Download {REPO}"))
    press(page, download.get_by_role("button", name="Cancel"))
    expect(download).to_be_hidden()
    hub.release.set()
    assert appliance.stop() == 0


def test_keys_looks_and_the_way_in_and_out(page: Page, tmp_path: Path) -> None:
    appliance = Running(
        tmp_path,
        APPLIANCE_SECURITY_ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
        API_KEY="a-long-enough-key",
    ).start()
    page.goto(appliance.url)
    reach(page, page.get_by_label("Key", exact=True))
    page.keyboard.type("a-long-enough-key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()

    page.get_by_role("textbox", name="Message", exact=True).blur()
    page.keyboard.press("g")
    page.keyboard.press("k")
    press(page, page.get_by_role("button", name="Create a key"))
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_be_focused()
    page.keyboard.type("By hand")
    page.keyboard.press("Enter")
    secret = dialog.locator("code").inner_text()
    press(page, dialog.get_by_role("button", name="Done"))
    mine = {"Authorization": f"Bearer {secret}"}
    assert httpx.get(f"{appliance.url}/api/sessions", headers=mine).status_code == 200
    press(page, page.get_by_role("button", name="Revoke key By hand"))
    press(page, page.get_by_role("dialog").get_by_role("button", name="Revoke"))
    expect(page.get_by_text("The key “By hand” no longer works.")).to_be_visible()
    assert httpx.get(f"{appliance.url}/api/sessions", headers=mine).status_code == 401

    page.keyboard.press("Control+,")
    reach(page, page.get_by_role("combobox", name="Language"))
    page.keyboard.type("Deutsch")
    expect(page.get_by_role("heading", name="Einstellungen")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "de"
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    # A radio group is one stop; the arrow keys choose.
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    press(page, page.get_by_role("button", name="Sign out"))
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert appliance.stop() == 0
