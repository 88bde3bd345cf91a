"""What the page gives to copy for other programs works as it stands there."""

import json
import subprocess
import sys
import tomllib

from playwright.sync_api import Page, expect

from tests.running import Running


def test_what_is_to_be_copied_works_and_its_requests_are_listed(
    page: Page, running: Running
) -> None:
    page.goto(f"{running.url}/#/developers")
    shown = page.get_by_role("tabpanel")
    expect(shown).to_contain_text("smollm2")

    def snippet(name: str) -> str:
        page.get_by_role("tab", name=name, exact=True).click()
        return shown.inner_text()

    def output(*command: str) -> str:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=120
        ).stdout

    assert json.loads(output("sh", "-c", snippet("curl")))["choices"][0]["message"]["content"]
    assert output(sys.executable, "-c", snippet("Python")).strip()
    lines = output("sh", "-c", snippet("Ollama")).splitlines()
    assert json.loads(lines[-1])["done"]
    codex = tomllib.loads(snippet("codex"))
    provider = codex["model_providers"][codex["model_provider"]]
    assert provider["base_url"] == f"{running.url}/v1"

    log = page.get_by_role("group", name="Your last requests")
    for route in ("/v1/chat/completions", "/api/chat"):
        expect(log.get_by_role("cell", name=route).first).to_be_visible()
    expect(log.get_by_role("row")).to_have_count(4)
