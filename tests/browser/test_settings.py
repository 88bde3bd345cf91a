"""Settings of a chat, of a new one and of everybody; presets; the model at the chat's head."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import FAKE_SERVICE
from tests.browser.page_actions import finished, new_chat, replies, send, session_id
from tests.running import Running


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance with three models, which take a while to load."""
    appliance = Running(
        tmp_path_factory.mktemp("several"),
        command=(sys.executable, str(FAKE_SERVICE)),
        FAKE_OTHERS="Second Third",
        FAKE_LOAD_SECONDS="3",
        HF_ENDPOINT="http://hub.invalid",
    ).start()
    yield appliance
    assert appliance.stop() == 0


def settings_of(running: Running, page: Page) -> dict[str, Any]:
    """What the open chat sets."""
    chat = httpx.get(f"{running.url}/api/sessions/{session_id(page)}").json()
    return {name: value for name, value in (chat["settings"] or {}).items() if value is not None}


def of_everybody(running: Running) -> dict[str, Any]:
    """What is set for everybody."""
    found = httpx.get(f"{running.url}/api/settings").json()
    del found["defaults"], found["limits"]
    return {name: value for name, value in found.items() if value is not None}


def ask(page: Page, text: str) -> None:
    """Send a message and wait for the whole reply, which may be there at once."""
    before = replies(page).count()
    send(page, text)
    expect(replies(page)).to_have_count(before + 1)
    finished(page)


def open_settings(page: Page) -> None:
    page.get_by_role("button", name="Settings", exact=True).click()
    expect(page.get_by_role("textbox", name="Temperature", exact=True)).to_be_visible()


def test_what_is_set_for_a_new_chat_is_that_chats_alone(page: Page, several: Running) -> None:
    page.goto(several.url)
    open_settings(page)
    page.get_by_role("textbox", name="Temperature", exact=True).fill("0.3")
    page.get_by_role("textbox", name="System prompt").fill("Rhyme.")
    page.get_by_text("More", exact=True).click()
    page.get_by_role("textbox", name="DRY multiplier").fill("0.8")
    page.reload()
    open_settings(page)
    expect(page.get_by_role("textbox", name="System prompt")).to_have_value("Rhyme.")
    ask(page, "echo:plums")
    expected = {"temperature": 0.3, "system_prompt": "Rhyme.", "dry_multiplier": 0.8}
    assert settings_of(several, page) == expected
    assert of_everybody(several) == {}
    page.get_by_role("textbox", name="Seed").fill("7")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    assert settings_of(several, page) == expected | {"seed": 7}
    new_chat(page)
    expect(page.get_by_role("textbox", name="System prompt")).to_have_value("")


def test_what_holds_for_everybody_stands_in_a_place_of_its_own(
    browser: Browser, page: Page, several: Running
) -> None:
    page.goto(several.url)
    open_settings(page)
    page.get_by_role("link", name="Settings for everybody").click()
    expect(page.get_by_role("heading", level=2, name="Settings for everybody")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    page.get_by_role("textbox", name="Top-k").fill("7")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    assert of_everybody(several) == {"top_k": 7}
    elsewhere = browser.new_context(viewport={"width": 1280, "height": 800})
    other = elsewhere.new_page()
    other.goto(several.url)
    open_settings(other)
    expect(other.get_by_role("textbox", name="Top-k")).to_have_attribute("placeholder", "7")
    elsewhere.close()
    page.get_by_role("button", name="Use the default: Top-k").click()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    assert of_everybody(several) == {}


def test_a_change_that_is_refused_says_why(page: Page, several: Running) -> None:
    page.goto(several.url)
    ask(page, "echo:plums")
    open_settings(page)
    page.get_by_text("More", exact=True).click()
    order = page.get_by_role("textbox", name="Order of the samplers")
    order.fill("top_k\ntop_z")
    expect(page.get_by_text(re.compile("Not saved\\. .*samplers"))).to_be_visible()
    order.fill("top_k\ntop_p")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    assert settings_of(several, page) == {"samplers": ["top_k", "top_p"]}


def test_a_preset_is_a_click_away_from_the_input(page: Page, several: Running) -> None:
    page.goto(several.url)
    open_settings(page)
    page.get_by_role("textbox", name="System prompt").fill("Rhyme.")
    page.get_by_role("combobox", name="Thinking").select_option(label="Off")
    page.get_by_role("button", name="Keep these settings as a preset").click()
    page.get_by_label("Name", exact=True).fill("Poet")
    page.get_by_role("dialog").get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_role("button", name="Preset: Poet")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    ask(page, "echo:plums")
    new_chat(page)
    page.get_by_role("button", name="Presets", exact=True).click()
    page.get_by_role("menuitemradio", name="Poet").click()
    ask(page, "echo:pears")
    assert settings_of(several, page) == {"system_prompt": "Rhyme.", "reasoning_effort": "none"}
    page.reload()
    page.get_by_role("button", name="Preset: Poet").click()
    page.get_by_role("menuitem", name="Edit presets").click()
    page.get_by_role("textbox", name="Name of the preset Poet").fill("Bard")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Delete the preset Bard").click()
    expect(page.get_by_text("There are no presets yet.")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Done").click()
    assert httpx.get(f"{several.url}/api/presets").json() == {"presets": []}
    assert settings_of(several, page)["system_prompt"] == "Rhyme."


def test_a_model_is_chosen_before_the_first_message_and_seen_to_load(
    page: Page, several: Running
) -> None:
    page.goto(several.url)
    page.get_by_role("button", name="Model: Fake", exact=True).click()
    page.get_by_role("menuitemradio", name="Second").click()
    head = page.get_by_role("main").get_by_role("button", name="Model: Second")
    expect(head).to_have_accessible_name(re.compile("Loading"))
    send(page, "echo:plums")
    expect(replies(page).get_by_text("Loading Second")).to_be_visible()
    finished(page)
    expect(head).to_have_accessible_name("Model: Second")
    page.get_by_title("Details of this reply").click()
    expect(replies(page).get_by_text("second", exact=True)).to_be_visible()
    assert settings_of(several, page) == {"model": "second"}
    assert of_everybody(several) == {}
    new_chat(page)
    expect(page.get_by_role("button", name="Model: Fake", exact=True)).to_be_visible()


def test_a_page_whose_replies_die_says_so_and_offers_what_helps(
    page: Page, several: Running
) -> None:
    page.goto(several.url)
    page.get_by_role("button", name="Model: Fake", exact=True).click()
    page.get_by_role("menuitemradio", name="Third").click()
    head = page.get_by_role("main").get_by_role("button", name="Model: Third")
    expect(head).to_have_accessible_name("Model: Third")
    # A text that ends like this crashes the fake worker, as often as it is tried.
    send(page, "echo:ab!!")
    finished(page)
    expect(page.get_by_text("The reply broke off here.")).to_be_visible()
    expect(head).to_have_accessible_name("Model: Third, Not responding")
    rail = page.get_by_role("complementary", name="Chats and views")
    expect(rail.get_by_text("Not responding")).to_be_visible()
    expect(rail.get_by_text("Ready")).to_have_count(0)
    expect(page.get_by_text("The process of Third crashed")).to_be_visible()
    page.get_by_role("button", name="Choose another model").click()
    page.get_by_role("menuitemradio", name="Fake").click()
    ask(page, "echo:plums")
    expect(replies(page).last.locator(".markdown")).to_have_text("plums")


def test_a_hub_that_cannot_be_reached_is_said_in_plain_words(page: Page, several: Running) -> None:
    page.goto(f"{several.url}/#/models")
    name = page.get_by_role("searchbox", name="Name of a model")
    name.fill("phi")
    name.press("Enter")
    expect(page.get_by_text("no connection to the internet")).to_be_visible()
    expect(page.get_by_text("Errno")).to_have_count(0)


def test_what_was_said_long_ago_is_still_known(page: Page, several: Running) -> None:
    page.goto(several.url)
    for number in range(12):
        ask(page, f"echo:{number}")
    usage = httpx.get(f"{several.url}/api/sessions/{session_id(page)}/messages").json()
    assert [m["usage"]["dropped_messages"] for m in usage["messages"] if m["usage"]] == [0] * 12
    expect(page.get_by_text("did not see")).to_have_count(0)
