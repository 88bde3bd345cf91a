"""Files attached in the page: chosen, dropped and pasted; and a long text that is pasted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.page_actions import ask, finished, new_chat, send, session_id
from tests.browser.test_views import violations
from tests.running import WITHOUT_MODEL, Running

NOTES = "The spare key lies under the third flower pot.\n" * 40
DROP = """([text, name]) => {
    const files = new DataTransfer();
    files.items.add(new File([text], name, { type: "text/plain" }));
    const zone = document.querySelector("section:has(#message)");
    for (const type of ["dragenter", "dragover", "drop"]) {
        zone.dispatchEvent(new DragEvent(type, { dataTransfer: files, bubbles: true }));
    }
}"""
PASTE = """([text, name]) => {
    const files = new DataTransfer();
    if (name) files.items.add(new File([text], name, { type: "text/plain" }));
    else files.setData("text/plain", text);
    const paste = { clipboardData: files, bubbles: true, cancelable: true };
    document.querySelector("#message").dispatchEvent(new ClipboardEvent("paste", paste));
}"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance whose replies take no time."""
    folder = tmp_path_factory.mktemp("quick")
    appliance = Running(folder, command=WITHOUT_MODEL, FAKE_STEP_SECONDS="0.001").start()
    yield appliance
    assert appliance.stop() == 0


def files(page: Page) -> Locator:
    """What is attached to the message that is being written."""
    return page.locator("form").get_by_role("list", name="Attached files")


def choose(page: Page, *chosen: str | Path | dict[str, object]) -> None:
    """Choose files with the paperclip."""
    with page.expect_file_chooser() as opened:
        page.get_by_role("button", name="Attach files").click()
    opened.value.set_files(list(chosen))  # type: ignore[arg-type]


def test_files_are_chosen_dropped_and_pasted_and_stay_with_their_message(
    quick: Running, page: Page
) -> None:
    page.goto(quick.url)
    new_chat(page)
    choose(page, {"name": "notes.txt", "mimeType": "text/plain", "buffer": NOTES.encode()})
    expect(files(page).get_by_text("tokens")).to_be_visible()
    page.evaluate(DROP, ["a,b\n1,2\n", "table.csv"])
    page.evaluate(PASTE, ["print(1)\n", "code.py"])
    page.evaluate(PASTE, [NOTES * 4, ""])
    expect(files(page).get_by_role("listitem")).to_have_count(4)
    expect(files(page).get_by_text("tokens")).to_have_count(4)
    page.get_by_role("button", name="Remove code.py").click()
    expect(files(page).get_by_role("listitem")).to_have_count(3)
    ask(page, "Where is the key?")
    expect(files(page)).to_be_hidden()
    id = session_id(page)
    page.reload()
    sent = page.get_by_role("list", name="Attached files").get_by_role("link")
    expect(sent).to_have_count(3)
    with page.expect_download() as download:
        sent.first.click()
    assert download.value.suggested_filename == "notes.txt"
    assert download.value.path().read_text() == NOTES
    stored = httpx.get(f"{quick.url}/api/sessions/{id}/messages").json()["messages"]
    names = [it["name"] for it in stored[0]["attachments"]]
    assert names == ["notes.txt", "table.csv", "Pasted text.txt"]
    # Another version of the message has them, too.
    page.get_by_role("article", name="Your message").hover()
    page.get_by_role("button", name="Edit message").click()
    page.get_by_role("textbox", name="Edited message").fill("Where is it?")
    page.get_by_role("button", name="Send", exact=True).first.click()
    expect(page.get_by_role("article", name="Your message")).to_have_text("Where is it?")
    finished(page)
    expect(sent).to_have_count(3)


def test_an_image_is_refused_with_a_reason_and_the_text_stays(quick: Running, page: Page) -> None:
    page.goto(quick.url)
    new_chat(page)
    page.get_by_role("textbox", name="Message", exact=True).fill("What is this?")
    image = Path(__file__).parents[2] / "packaging/icons/icon-256.png"
    choose(page, image)
    expect(page.get_by_role("alert")).to_contain_text("is an image")
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_have_value("What is this?")
    send(page, "Never mind.")
    finished(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1440, 900), (1280, 720), (390, 844)], ids=str)
def test_files_are_in_reach_at_every_size(
    quick: Running, browser: Browser, theme: Literal["light", "dark"], size: tuple[int, int]
) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=theme, reduced_motion="reduce"
    )
    page = context.new_page()

    def cut_short(route: Route) -> None:
        answer = route.fetch()
        fits = answer.json()
        fits["fits"][0]["shown"] = 400
        route.fulfill(json=fits)

    page.route("**/api/attachments/fit*", cut_short)
    page.goto(quick.url)
    name = "A rather long name of a report about the year 2025 (final, revised).txt"
    choose(page, {"name": name, "mimeType": "text/plain", "buffer": NOTES.encode()})
    expect(files(page).get_by_text("only the first 21% fits")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    send(page, "What does it say?")
    finished(page)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
