"""A person chats with the real model in a real browser."""

from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.running import Running

WATCH_LENGTHS = """() => {
  window.lengths = new Set();
  new MutationObserver(() => {
    const reply = document.querySelector("article[aria-label=Reply]");
    if (reply) lengths.add(reply.innerText.length);
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""
"""Records each length of the reply's text."""


def send(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Message").fill(text)
    page.get_by_role("button", name="Send").click()


def test_ask_stop_reload(page: Page, talkative: Running) -> None:
    page.goto(talkative.url)
    page.evaluate(WATCH_LENGTHS)
    profile = f"{talkative.url}/api/settings"
    # As long as a busy machine can write while the page is watched.
    httpx.patch(profile, json={"max_tokens": 120}).raise_for_status()
    send(page, "Tell me about the sea.")
    expect(page.get_by_role("article", name="Your message")).to_have_text("Tell me about the sea.")
    reply = page.get_by_role("article", name="Reply")
    expect(reply).not_to_be_empty()
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_hidden()
    # The text arrived in pieces, not all at the end.
    assert page.evaluate("lengths.size") > 3

    httpx.patch(profile, json={"max_tokens": None}).raise_for_status()
    send(page, "Write a very long story about a lighthouse, in twenty chapters.")
    expect(stop).to_be_visible()
    second = reply.nth(1)
    page.wait_for_function(
        "() => (document.querySelectorAll('article[aria-label=Reply]')[1]?.innerText ?? '')"
        ".length > 40"
    )
    stop.click()
    expect(stop).to_be_hidden()
    expect(second).to_contain_text("topped")
    texts = page.get_by_role("article").all_inner_texts()
    assert len(texts) == 4

    page.reload()
    expect(page.get_by_role("article")).to_have_count(4)
    for number, text in enumerate(texts):
        again = page.get_by_role("article").nth(number)
        expect(again).to_contain_text(text.split("\n")[0], use_inner_text=True)


def test_reloading_in_mid_answer_goes_on_with_it(page: Page, talkative: Running) -> None:
    page.goto(talkative.url)
    send(page, "Tell me a long story about a fox and a crow.")
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_visible()
    page.wait_for_function(
        "() => (document.querySelector('article[aria-label=Reply]')?.innerText ?? '').length > 30"
    )
    page.reload()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    session = page.url.rpartition("/")[2]
    stored = httpx.get(f"{talkative.url}/api/sessions/{session}/messages").json()["messages"]
    shown = page.get_by_role("article", name="Reply").inner_text()
    start = stored[1]["content"].strip().split("\n")[0][:60]
    assert start in shown


def test_chats_are_listed_switched_and_deleted(page: Page, talkative: Running) -> None:
    page.goto(talkative.url)
    for text in ("Say one word about quinces.", "Say one word about medlars."):
        page.get_by_role("button", name="New chat").first.click()
        send(page, text)
        expect(page.get_by_role("article", name="Reply")).not_to_be_empty()
        expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    rail = page.get_by_role("navigation", name="Chats")
    rail.get_by_text("Say one word about quinces.").click()
    expect(page.get_by_role("article", name="Your message")).to_have_text(
        "Say one word about quinces."
    )
    rail.get_by_text("Say one word about quinces.").hover()
    page.get_by_role("button", name="Actions for chat Say one word about quinces.").click()
    page.get_by_role("menuitem", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Delete").click()
    expect(rail.get_by_text("Say one word about quinces.")).to_have_count(0)
    expect(rail.get_by_text("Say one word about medlars.")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(rail.get_by_text("Say one word about quinces.")).to_have_count(1)


def test_the_chat_is_there_after_a_restart(page: Page, tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    page.goto(appliance.url)
    send(page, "Remember this sentence.")
    expect(page.get_by_role("article", name="Reply")).not_to_be_empty()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    assert appliance.stop() == 0
    appliance.start()
    page.reload()
    expect(page.get_by_role("article", name="Your message")).to_have_text("Remember this sentence.")
    expect(page.get_by_role("article", name="Reply")).not_to_be_empty()
    assert appliance.stop() == 0


def test_a_message_that_is_too_long_says_what_to_do(page: Page, talkative: Running) -> None:
    page.goto(talkative.url)
    send(page, "hello " * 9000)
    reply = page.get_by_role("article", name="Reply")
    expect(reply).to_contain_text("8192")
    expect(reply.get_by_role("button", name="Edit the message")).to_be_visible()
