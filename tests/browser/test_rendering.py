"""Formulas, code and tables in replies, as a browser draws them."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.page_actions import finished, imported, long_chat, new_chat, replies, send
from tests.running import Running

FORMULAS = r"""So \(a_1 * b_1\), for $5 and $10.

\[
\begin{aligned}
f(x) &= \frac{1}{2} \\
+ y &= \sqrt{z}
\end{aligned}
\]

It is H<sub>2</sub>O."""
NEVER_GONE = """() => {
  window.lost = 0;
  window.seen = false;
  new MutationObserver(() => {
    const drawn = document.querySelector("main article .katex-display") !== null;
    if (window.seen && !drawn) window.lost += 1;
    window.seen ||= drawn;
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""
DIAGRAM = "```mermaid\ngraph LR\n  A[Start] --> B{Choice}\n```"
DRAWING = '```svg\n<svg viewBox="0 0 20 10"><text x="1" y="8">A text</text></svg>\n```'


class Server(ThreadingHTTPServer):
    """Counts who comes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(b"here")

    def do_POST(self) -> None:
        self.do_GET()


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    """Another server on this machine, which no preview may reach."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_formulas_are_drawn_while_they_are_written(page: Page, echoing: Running) -> None:
    page.goto(echoing.url)
    new_chat(page)
    page.evaluate(NEVER_GONE)
    send(page, f"echo:{FORMULAS}")
    finished(page)
    reply = replies(page).last
    expect(reply.locator(".katex")).to_have_count(2)
    expect(reply.locator(".katex-display")).to_have_count(1)
    assert page.evaluate("[window.seen, window.lost]") == [True, 0]
    expect(reply.locator("p").first).to_contain_text("for $5 and $10.")
    expect(reply.locator("sub")).to_have_text("2")
    fonts = "[...document.fonts].filter((f) => f.status === 'loaded').map((f) => f.family)"
    page.wait_for_function(f"() => {fonts}.includes('KaTeX_Main')")
    # What was drawn stands where KaTeX put it: its styles were not refused.
    style = "document.querySelector('.katex .vlist > span').style.top"
    assert page.evaluate(style).endswith("em")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(
        "getSelection().selectAllChildren([...document.querySelectorAll('main article')].at(-1))"
    )
    page.keyboard.press("Control+c")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(FORMULAS.replace("<sub>", "").partition("It is")[0].rstrip())


def test_diagrams_and_drawings_are_shown_at_a_press(page: Page, echoing: Running) -> None:
    chat = imported(echoing, long_chat(1, f"{DIAGRAM}\n\n{DRAWING}"))
    page.goto(f"{echoing.url}/#/s/{chat}")
    shows = page.get_by_role("button", name="Show the preview")
    expect(shows).to_have_count(2)
    assert page.locator("iframe").count() == 0
    shows.first.click()
    diagram = page.frame_locator("iframe[data-kind=mermaid]")
    expect(diagram.locator("svg").first).to_contain_text("Choice")
    shows.first.click()
    drawing = page.frame_locator("iframe[data-kind=svg]")
    expect(drawing.locator("svg")).to_contain_text("A text")
    for kind in ("mermaid", "svg"):
        page.wait_for_function(
            f"() => document.querySelector('iframe[data-kind={kind}]').clientHeight > 70"
        )
    page.get_by_role("button", name="Show the code").first.click()
    expect(page.locator("iframe")).to_have_count(1)


def test_a_preview_reaches_neither_the_page_nor_the_network(
    context: BrowserContext, echoing: Running, elsewhere: Server
) -> None:
    code = f"""<p>waiting</p><script>
      const found = [];
      const attempt = (name, act) => {{ try {{ act(); found.push(name); }} catch {{}} }};
      attempt("page", () => parent.document.body);
      attempt("storage", () => localStorage.length);
      attempt("cookie", () => document.cookie.length);
      attempt("frame", () => frameElement.src);
      attempt("window", () => {{ if (!open("{elsewhere.url}/open")) throw 0; }});
      attempt("top", () => {{ top.location = "{elsewhere.url}/top"; }});
      attempt("calls", () => new RTCPeerConnection());
      new Image().src = "{elsewhere.url}/image";
      navigator.sendBeacon("{elsewhere.url}/beacon");
      const style = document.createElement("link");
      Object.assign(style, {{ rel: "stylesheet", href: "{elsewhere.url}/style" }});
      document.head.append(style);
      const frame = document.createElement("iframe");
      frame.src = "{elsewhere.url}/frame";
      document.body.append(frame);
      const tries = [fetch("{elsewhere.url}/fetch"), fetch("{echoing.url}/api/sessions")];
      Promise.allSettled(tries).then((all) => {{
        for (const one of all) if (one.status === "fulfilled") found.push("fetch");
        document.querySelector("p").textContent = "found: " + found;
      }});
    </script>"""
    leaves = f"<a href='{elsewhere.url}/link'>away</a><script>location = '{elsewhere.url}/away'"
    chat = long_chat(1, f"```html\n{code}\n```\n\n```html\n{leaves}</script>\n```")
    page = context.new_page()
    page.goto(f"{echoing.url}/#/s/{imported(echoing, chat)}")
    shows = page.get_by_role("button", name="Show the preview")
    shows.first.click()
    expect(page.frame_locator("iframe").first.locator("p")).to_have_text("found: ")
    with page.expect_console_message(lambda message: elsewhere.url in message.text):
        shows.first.click()
    assert elsewhere.requests == []
    assert page.url.startswith(echoing.url)
    assert len(context.pages) == 1
