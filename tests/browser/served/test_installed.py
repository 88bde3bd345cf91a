"""The page as an installed one: it opens while its server does not answer, and keeps no chats."""

from pathlib import Path

import httpx
from playwright.sync_api import Browser, expect

from tests.browser.page_actions import ask
from tests.running import Running


def test_it_opens_without_its_server(browser: Browser, tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    context = browser.new_context()
    page = context.new_page()
    try:
        manifest = httpx.get(appliance.url + "/assets/manifest.json").json()
        assert (manifest["start_url"], manifest["display"]) == ("/", "standalone")
        for icon in manifest["icons"]:
            assert httpx.get(appliance.url + icon["src"]).headers["Content-Type"] == icon["type"]
        page.goto(appliance.url)
        ask(page, "Say one word about zebras.")
        page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    finally:
        assert appliance.stop() == 0
    page.goto(appliance.url + "/#/status")
    page.reload()
    expect(page.get_by_text("The server can’t be reached.")).to_be_visible()
    kept = page.evaluate(
        """async () => {
          const texts = [];
          for (const name of await caches.keys()) {
            const cache = await caches.open(name);
            for (const request of await cache.keys()) {
              texts.push(request.url, await (await cache.match(request)).text());
            }
          }
          return texts.join("\\n");
        }"""
    )
    assert "/assets/index-" in kept
    assert "zebras" not in kept
    context.close()


def test_the_worker_comes_from_the_server_each_time(running: Running) -> None:
    answer = httpx.get(running.url + "/service-worker.js")
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert answer.headers["Cache-Control"] == "no-cache"
