"""The page's notices: queue position, trimmed messages, errors and how to recover."""

import re
import sys
from pathlib import Path

import httpx
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import BRIEF, FAKE_SERVICE
from tests.browser.page_actions import ask, finished, imported, long_chat, replies, send, session_id
from tests.running import Running

WRITTEN = """(least) =>
  (document.querySelector("article[aria-label=Reply] .markdown")?.innerText ?? "").length > least
"""


def test_a_model_that_loads_says_how_far_it_is(page: Page, tmp_path: Path) -> None:
    appliance = Running(
        tmp_path, command=(sys.executable, str(FAKE_SERVICE)), FAKE_LOAD_SECONDS="8"
    ).start(ready=False)
    page.goto(appliance.url)
    notice = page.get_by_text("Loading the model, 50%. You can start writing.")
    expect(notice).to_be_visible()
    box = page.get_by_role("textbox", name="Message", exact=True)
    box.fill("echo:nobody has to wait with the typing")
    expect(notice).to_be_hidden(timeout=20_000)
    box.press("Enter")
    expect(replies(page)).to_contain_text("nobody has to wait with the typing")
    assert appliance.stop() == 0


def test_a_waiting_user_sees_the_queue_position(
    page: Page, context: BrowserContext, tmp_path: Path
) -> None:
    appliance = Running(
        tmp_path,
        command=(sys.executable, str(FAKE_SERVICE)),
        FAKE_STEP_SECONDS="0.05",
        APPLIANCE_ENGINE_N_SEQ_MAX="1",
    ).start()
    pages = [page, context.new_page(), context.new_page()]
    for one in pages:
        one.goto(appliance.url)
        send(one, "echo:" + "words and more words, " * 60)
        expect(replies(one)).to_be_visible()
        # A reply is shown before the service has its request: one after the other.
        if one is page:
            page.wait_for_function(WRITTEN, arg=10)
        else:
            place = "next" if one is pages[1] else "position 2"
            expect(one.get_by_text(f"In the queue · {place}")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    pages[1].wait_for_function(WRITTEN, arg=10)
    expect(pages[2].get_by_text("In the queue · next")).to_be_visible()
    # A waiting request can be cancelled.
    pages[2].get_by_role("button", name="Stop", exact=True).click()
    expect(pages[2].get_by_text("You stopped this reply before its first word.")).to_be_visible()
    expect(pages[1].get_by_text(re.compile(r"Writing · ≈ [\d.]+ tokens/s"))).to_be_visible()
    pages[1].get_by_role("button", name="Stop", exact=True).click()
    finished(pages[1])
    assert appliance.stop() == 0


def test_a_server_that_dies_and_comes_back(page: Page, tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    page.goto(appliance.url)
    send(page, "Write a very long story about a lighthouse, in twenty chapters.")
    page.wait_for_function(WRITTEN, arg=400)
    appliance.kill()
    expect(page.get_by_text("The server can’t be reached.")).to_be_visible()
    expect(page.get_by_text("The connection was lost. Reconnecting…")).to_be_visible()
    box = page.get_by_role("textbox", name="Message", exact=True)
    box.fill("Written while it was away")
    appliance.start()
    expect(page.get_by_text("The server can’t be reached.")).to_be_hidden()
    expect(page.get_by_text("Interrupted: the appliance stopped in the middle")).to_be_visible()
    expect(box).to_have_value("Written while it was away")
    kept = stored(appliance, page)
    assert kept
    page.get_by_role("button", name="Continue").click()
    page.wait_for_function(WRITTEN, arg=len(kept) + 20)
    page.get_by_role("button", name="Stop", exact=True).click()
    finished(page)
    assert stored(appliance, page).startswith(kept)
    assert appliance.stop() == 0


def stored(appliance: Running, page: Page) -> str:
    """The last reply, as the server has it."""
    path = f"/api/sessions/{session_id(page)}/messages"
    text: str = httpx.get(appliance.url + path).json()["messages"][-1]["content"]
    return text


def test_a_message_that_could_not_be_sent_is_kept(page: Page, tmp_path: Path) -> None:
    appliance = Running(tmp_path, **BRIEF).start()
    page.goto(appliance.url)
    appliance.kill()
    send(page, "Is anybody there?")
    expect(page.get_by_text("The message was not sent. It is kept here.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_have_value(
        "Is anybody there?"
    )
    appliance.start()
    expect(page.get_by_text("The server can’t be reached.")).to_be_hidden()
    page.get_by_role("button", name="Send", exact=True).click()
    finished(page)
    expect(page.get_by_role("article", name="Your message")).to_have_text("Is anybody there?")
    assert appliance.stop() == 0


def test_a_reply_cut_at_its_limit_says_so_and_goes_on(page: Page, running: Running) -> None:
    page.goto(running.url)
    ask(page, "Say one word about the sea.")
    path = f"{running.url}/api/sessions/{session_id(page)}"
    assert httpx.patch(path, json={"settings": {"max_tokens": 6}}).status_code == 200
    ask(page, "Tell me a long story about the sea.")
    last = replies(page).last
    expect(last.get_by_text("it reached its length limit")).to_be_visible()
    expect(last).to_contain_text("6 tokens")
    last.get_by_role("button", name="Continue").click()
    expect(last).to_contain_text("12 tokens")


def test_each_reply_reports_its_usage(page: Page, running: Running) -> None:
    page.goto(running.url)
    ask(page, "Say one word about rivers.")
    ask(page, "And one about lakes.")
    last = replies(page).last
    last.get_by_title("Details of this reply").click()
    details = dict(
        zip(
            last.locator("dt").all_inner_texts(),
            last.locator("dd").all_inner_texts(),
            strict=True,
        )
    )
    usage = httpx.get(f"{running.url}/api/sessions/{session_id(page)}/messages").json()
    usage = usage["messages"][-1]["usage"]
    assert details["Model"] == "smollm2-135m-instruct"
    assert details["Written"] == f"{usage['completion_tokens']} token" + (
        "s" if usage["completion_tokens"] != 1 else ""
    )
    assert details["Prompt"] == f"{usage['prompt_tokens']} tokens"
    assert details["Reused"] == f"{usage['cached_tokens']} tokens (this chat’s cache)"
    assert details["Seed"] == str(usage["seed"])
    assert re.fullmatch(r"[\d.]+ m?s", details["First token"])
    assert details["Context"] == "8,192 tokens"


def test_the_context_that_is_used_and_what_was_left_out(page: Page, tmp_path: Path) -> None:
    appliance = Running(tmp_path, APPLIANCE_ENGINE_N_CTX="512", **BRIEF).start()
    chat = long_chat(8, "A reply of a few words, and then some more of them. " * 6)
    page.goto(f"{appliance.url}/#/s/{imported(appliance, chat)}")
    ask(page, "Say one word about apples.")
    meter = page.get_by_role("meter", name="Context used")
    expect(meter).to_have_attribute("aria-valuemax", "512")
    assert 0 < int(meter.get_attribute("aria-valuenow") or 0) <= 512
    notice = replies(page).last.get_by_text(
        re.compile(r"The model did not see \d+ earlier messages")
    )
    expect(notice).to_be_visible()
    expect(meter).to_have_attribute(
        "title", re.compile(r"did not see \d+ earlier messages\. The chat is longer than")
    )
    assert appliance.stop() == 0


def test_a_missing_device_is_reported(page: Page, running: Running) -> None:
    profile = f"{running.url}/api/settings"
    httpx.patch(profile, json={"device": "metal"}).raise_for_status()
    page.goto(running.url)
    ask(page, "Say one word about plums.")
    warning = re.compile("metal is not available")
    page.get_by_role("link", name="Models", exact=True).click()
    bundled = page.get_by_role("article").filter(has_text="Comes with the appliance")
    expect(bundled.get_by_text(warning)).to_be_visible()
    page.get_by_role("button", name="Settings", exact=True).click()
    expect(page.get_by_role("complementary").get_by_text(warning)).to_be_visible()
    httpx.patch(profile, json={"device": None}).raise_for_status()


def test_models_are_loaded_and_unloaded(page: Page, running: Running) -> None:
    page.goto(f"{running.url}/#/models")
    bundled = page.get_by_role("article").filter(has_text="Comes with the appliance")
    expect(bundled).to_contain_text("Ready")
    bundled.get_by_role("button", name="Unload").click()
    expect(bundled).to_contain_text("Not loaded")
    bundled.get_by_role("button", name="Load").click()
    expect(bundled).to_contain_text("Ready")
    bundled.get_by_role("button", name="Unload").click()
    expect(bundled).to_contain_text("Not loaded")
    # It is loaded again for the next request.
    page.get_by_role("button", name="New chat").first.click()
    ask(page, "Say one word about pears.")
    page.goto(f"{running.url}/#/models")
    expect(bundled).to_contain_text("Ready")


def test_the_status_page_has_figures_of_now(page: Page, tmp_path: Path) -> None:
    # A reply that is still being written when the page is there, on any machine.
    appliance = Running(
        tmp_path, command=(sys.executable, str(FAKE_SERVICE)), FAKE_STEP_SECONDS="0.05"
    ).start()
    page.goto(appliance.url)
    ask(page, "echo:pears")
    ask(page, "echo:figs")
    send(page, "echo:" + "a very long story about a fox " * 40)
    page.get_by_role("link", name="Status", exact=True).click()
    now = page.get_by_role("region", name="Now")

    def figure(name: str) -> str:
        cell = now.locator("div").filter(has=page.locator("dt", has_text=re.compile(f"^{name}$")))
        return cell.locator("dd").last.inner_text()

    expect(now.get_by_text(re.compile(r"^[\d.]+ tokens/s$"))).to_be_visible()
    expect(now).to_contain_text(re.compile("Replies being written\\s*1"))
    assert re.fullmatch(r"[\d.]+ m?s", figure("First token"))
    assert figure("In the queue") == "0"
    assert re.match(r"[1-9]\d*%", figure("Prompt tokens reused"))
    expect(page.get_by_text(re.compile(r"[\d.]+ [MG]B used by the appliance, "))).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Stop", exact=True).click()
    finished(page)
    assert appliance.stop() == 0
