"""Reading and writing: scrolling, copying, and announcements for screen readers."""

from playwright.sync_api import Page, expect

from tests.browser.page_actions import ask, finished, imported, long_chat, replies, send
from tests.running import Running

LINES = "\n".join(f"{number}. a line that is read while others are written" for number in range(60))
SCROLLER = "document.querySelector('[role=group][aria-label=Messages]')"
AT_END = (
    f"() => {{ const s = {SCROLLER}; return s.scrollHeight - s.clientHeight - s.scrollTop < 3; }}"
)
HEIGHT = f"{SCROLLER}.scrollHeight"


def test_the_end_is_followed_until_the_reader_looks_elsewhere(page: Page, slow: Running) -> None:
    page.goto(f"{slow.url}/#/s/{imported(slow, long_chat(3, LINES))}")
    send(page, "echo:" + "\n\n".join(["A paragraph of some words."] * 40))
    page.wait_for_function("() => document.querySelector('article[aria-busy=true] .markdown')")
    page.wait_for_function(AT_END)
    page.mouse.move(640, 300)
    page.mouse.wheel(0, -600)
    expect(page.get_by_role("button", name="Jump to newest")).to_be_visible()
    page.wait_for_function("""() => {
      const place = document.querySelector('[role=group][aria-label=Messages]').scrollTop;
      if (window.place === place) return true;
      window.place = place;
    }""")
    top, height = page.evaluate(f"[{SCROLLER}.scrollTop, {HEIGHT}]")
    page.wait_for_function(f"height => {HEIGHT} > height + 40", arg=height)
    assert page.evaluate(f"{SCROLLER}.scrollTop") == top
    page.get_by_role("button", name="Jump to newest").click()
    height = page.evaluate(HEIGHT)
    page.wait_for_function(f"height => {HEIGHT} > height + 40", arg=height)
    page.wait_for_function(AT_END)
    page.get_by_role("button", name="Stop", exact=True).click()
    finished(page)


def test_the_input_is_as_high_as_its_text(page: Page, running: Running) -> None:
    page.goto(running.url)
    box = page.get_by_role("textbox", name="Message", exact=True)
    expect(box).to_be_focused()
    heights = []
    for text in ("one", "one\ntwo\nthree\nfour", "\n".join(["many", "lines"] * 40), "one"):
        box.fill(text)
        heights.append(box.evaluate("(box) => box.clientHeight"))
    one, four, many, again = heights
    assert one + 3 * 20 < four < many < 800 / 2
    assert again == one
    # The same in a browser that lacks the feature.
    page.add_init_script("CSS.supports = () => false")
    page.reload()
    for text, height in (("one", one), ("one\ntwo\nthree\nfour", four), ("one", one)):
        box.fill(text)
        assert box.evaluate("(box) => box.clientHeight") == height


def test_an_example_is_asked_at_a_press(page: Page, echoing: Running) -> None:
    page.goto(echoing.url)
    page.get_by_role("button", name="Explain something").click()
    expect(page.get_by_role("article", name="Your message")).to_contain_text("why the sky is blue")
    finished(page)


def test_what_is_copied(page: Page, echoing: Running) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    text = "Look:\n\n```python\nx = 1 < 2\n```\n\nAnd `more <b>` of *it*."
    page.goto(echoing.url)
    ask(page, f"echo:{text}")
    pasted = "async (wanted) => (await navigator.clipboard.readText()) === wanted"
    code = page.get_by_role("figure", name="Code, python")
    expect(code.locator(".hljs-number").first).to_have_text("1")
    code.get_by_role("button", name="Copy code").click()
    page.wait_for_function(pasted, arg="x = 1 < 2")
    page.get_by_title("Copy this piece of code").click()
    page.wait_for_function(pasted, arg="more <b>")
    page.get_by_role("button", name="Copy as Markdown").click()
    page.wait_for_function(pasted, arg=text)


def test_images_and_links_are_asked_for_by_the_reader(page: Page, echoing: Running) -> None:
    page.goto(echoing.url)
    host = echoing.url.removeprefix("http://")
    elsewhere = f"http://{host}/health"
    ask(page, f"echo:![A chart]({elsewhere}) and [a page]({elsewhere}) and [code](javascript:a())")
    reply = replies(page)
    expect(reply.locator("img")).to_have_count(0)
    expect(reply.get_by_text("code", exact=True)).not_to_have_role("link")
    for name in (f"Open image: A chart ({host})", "a page"):
        with page.expect_popup() as popup:
            reply.get_by_role("link", name=name).click()
        popup.value.wait_for_load_state()
        assert popup.value.url == elsewhere
        assert popup.value.evaluate("opener") is None
        popup.value.close()
    assert page.url.startswith(echoing.url + "/#/s/")


def test_screen_readers_get_whole_sentences(page: Page, slow: Running) -> None:
    page.goto(slow.url)
    page.evaluate("""() => {
      window.announced = [];
      new MutationObserver((changes) => {
        for (const { target } of changes) {
          const element = target instanceof Element ? target : target.parentElement;
          const place = element?.closest("[aria-live=polite], [role=status]");
          if (place?.textContent) window.announced.push(place.textContent);
        }
      }).observe(document.body, { subtree: true, childList: true, characterData: true });
    }""")
    send(page, "echo:" + "The **sea** is wide. " * 8)
    page.wait_for_function(
        "() => window.announced.some((text) => text.includes('The sea is wide.'))"
    )
    finished(page)
    page.wait_for_function("() => window.announced.includes('The reply has ended.')")
    announced = page.evaluate("window.announced")
    assert "A reply is being written." in announced
    words = [text for text in announced if text.startswith("The sea")]
    # In a few pieces that end at the end of a sentence, not letter by letter.
    assert 0 < len(words) < 8
    assert all(text.endswith(".") for text in words)


def test_thoughts_are_folded(page: Page, running: Running) -> None:
    chat = long_chat(1, "Four.", reasoning="Two and two, so four.")
    page.goto(f"{running.url}/#/s/{imported(running, chat)}")
    thought = page.get_by_text("Two and two, so four.")
    expect(replies(page)).to_contain_text("Four.")
    expect(thought).to_be_hidden()
    page.get_by_text("Thought before answering").click()
    expect(thought).to_be_visible()


def test_from_right_to_left(page: Page, running: Running) -> None:
    chat = long_chat(1, "שלום **עולם**\n\n```python\nx = 1\n```")
    page.goto(f"{running.url}/#/s/{imported(running, chat)}")
    text = replies(page).locator(".markdown p")
    expect(text).to_be_visible()
    # A text has its own direction, code runs from left to right, and the whole page is mirrored.
    assert text.evaluate("(text) => getComputedStyle(text).direction") == "rtl"
    code = page.get_by_role("figure", name="Code, python")
    assert code.evaluate("(code) => getComputedStyle(code).direction") == "ltr"
    rail = page.get_by_role("navigation", name="Chats")
    send_button = page.get_by_role("button", name="Send", exact=True)
    places = []
    for direction in ("ltr", "rtl"):
        page.evaluate("(dir) => { document.documentElement.dir = dir; }", direction)
        boxes = [one.bounding_box() for one in (rail, send_button)]
        places.append([box["x"] + box["width"] / 2 for box in boxes if box])
    for left, right in zip(*places, strict=True):
        assert abs(left + right - 1280) < 20
