"""Another built page is served instead of the appliance's own, beside the same API."""

import base64
import hashlib
from pathlib import Path

import httpx
import pytest

from appliance.service.other_page import needs
from tests.running import WITHOUT_MODEL, Running

INLINE = "document.title = 'theirs'"
DOCUMENT = f"""<!doctype html>
<html><head><link rel="icon" href="/vite.svg"><script>{INLINE}</script>
<link rel="stylesheet" href="https://fonts.example/css">
<script type="module" src="/assets/index.js"></script></head>
<body><div id="root"></div></body></html>
"""
HASH = base64.b64encode(hashlib.sha256(INLINE.encode()).digest()).decode()
WANTED = f"script-src 'self' 'sha256-{HASH}'; style-src 'self' https://fonts.example"


def test_it_is_served_with_its_files_and_its_policy(tmp_path: Path) -> None:
    page = tmp_path / "dist"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text(DOCUMENT, encoding="utf-8")
    (page / "assets" / "index.js").write_text("theirs()", encoding="utf-8")
    (page / "vite.svg").write_text("<svg/>", encoding="utf-8")
    (tmp_path / "secret").write_text("not for anybody", encoding="utf-8")
    folder = tmp_path / "appliance"
    appliance = Running(folder, command=WITHOUT_MODEL, APPLIANCE_SERVER_UI_DIR=str(page)).start()
    index = httpx.get(appliance.url + "/", headers={"Accept": "text/html"})
    assert index.text == DOCUMENT
    assert "default-src 'self'" in index.headers["Content-Security-Policy"]
    assert httpx.get(appliance.url + "/vite.svg").headers["content-type"] == "image/svg+xml"
    assert httpx.get(appliance.url + "/assets/index.js").text == "theirs()"
    assert httpx.get(appliance.url + "/sessions").json() == []
    for path in ("/nothing", "/api/nothing", "/%2e%2e/secret", "/assets/..%2f..%2fsecret"):
        missing = httpx.get(appliance.url + path)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found"), path
    assert str(page) in appliance.command("doctor").stdout
    assert WANTED in appliance.log.read_text()
    assert appliance.stop() == 0

    policy = f"default-src 'self'; {WANTED}"
    allowed = Running(
        folder,
        command=WITHOUT_MODEL,
        APPLIANCE_SERVER_UI_DIR=str(page),
        APPLIANCE_SERVER_UI_CSP=policy,
    ).start()
    index = httpx.get(allowed.url + "/", headers={"Accept": "text/html"})
    assert index.headers["Content-Security-Policy"] == policy
    assert allowed.stop() == 0


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ("<script src='/a.js'></script><link href='a.css' rel=stylesheet>", ""),
        ("<body onload='go()'>", "script-src 'self' 'unsafe-inline'"),
        ("<p style='color: red'>", "style-src 'self' 'unsafe-inline'"),
        ("<img src='//cdn.example/x.png'>", "img-src 'self' https://cdn.example"),
        ("<script> </script><style>\n</style>", ""),
        ("<", ""),
        (DOCUMENT, WANTED),
    ],
)
def test_what_its_policy_has_to_allow(document: str, wanted: str) -> None:
    assert needs(document) == wanted


@pytest.mark.parametrize(
    ("style", "wanted"),
    [
        (
            "@import'https://fonts.example/css2?family=Inter:wght@300;400';",
            "style-src 'self' https://fonts.example",
        ),
        ('@import url("https://a.example/x.css") screen;', "style-src 'self' https://a.example"),
        ("@import 'own.css'; p { background: url(/a.png) }", ""),
        (
            "@font-face{font-family:X;src:url(https://f.example/x.woff2)}",
            "font-src 'self' https://f.example",
        ),
    ],
)
def test_what_its_style_sheets_load(style: str, wanted: str) -> None:
    assert needs("", [style]) == wanted
