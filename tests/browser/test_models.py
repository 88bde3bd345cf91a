"""A larger model is two clicks away, and is downloaded whatever happens to the page."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.models.fake_hub import REPO, Behaviour, Hub
from tests.running import Running


def test_a_model_of_the_catalogue_is_fetched_and_used(page: Page, hub: Hub, tmp_path: Path) -> None:
    hub.always = Behaviour(drip=0.01)
    appliance = Running(tmp_path, HF_ENDPOINT=hub.url).start()
    page.goto(appliance.url)
    page.get_by_role("link", name="Models").click()
    page.get_by_role("button", name="Download Qwen2.5 0.5B", exact=True).click()
    download = page.get_by_role("article", name=f"Download of {REPO}")
    expect(download).to_contain_text(re.compile(r"Downloading · [1-9][\d.]* MB of \d+ MB"))
    download.get_by_role("button", name="Pause").click()
    expect(download).to_contain_text("Paused")
    # The download runs on the server: another page shows its progress.
    page.reload()
    expect(download).to_contain_text("Paused")
    hub.always = Behaviour()
    download.get_by_role("button", name="Resume").click()
    expect(download).to_be_hidden()
    # A model that is named by its file: the title in its header is the same as the bundled one's.
    arrived = page.get_by_role("article").filter(has_text=REPO)
    expect(arrived).to_contain_text("Downloaded here")
    arrived.get_by_role("button", name="Use for every chat").click()
    expect(arrived.get_by_text("In use")).to_be_visible()
    arrived.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(arrived).to_be_hidden()
    assert appliance.stop() == 0


def test_the_hub_is_asked_when_somebody_asks(page: Page, hub: Hub, tmp_path: Path) -> None:
    appliance = Running(tmp_path, HF_ENDPOINT=hub.url).start()
    page.goto(f"{appliance.url}/#/models")
    name = page.get_by_role("searchbox", name="Name of a model")
    expect(page.get_by_role("article", name="Qwen3 0.6B")).to_be_visible()
    name.fill("phi")
    expect(page.get_by_role("article", name="Qwen3 0.6B")).to_be_hidden()
    assert hub.asked == []
    name.press("Enter")
    found = page.get_by_role("region", name="On the hub")
    expect(found.get_by_text(REPO)).to_be_visible()
    hub.always = Behaviour(stall=True, cut=100_000)
    found.get_by_role("button", name=f"Download {REPO}").click()
    download = page.get_by_role("article", name=f"Download of {REPO}")
    download.get_by_role("button", name="Cancel").click()
    expect(download).to_be_hidden()
    hub.release.set()
    assert appliance.stop() == 0
