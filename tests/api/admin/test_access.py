"""Access: starting on a reachable address, what the locally opened page may do, and where keys
must never appear.
"""

import stat
import time
from pathlib import Path

import httpx
import psutil

from tests.auth.secret_service import run_with_keyring
from tests.running import WITHOUT_MODEL, Running
from tests.waiting import wait_until

CANARY = "canary-key-0123456789abcdef"
LAN = {"APPLIANCE_SERVER_HOST": "0.0.0.0", "APPLIANCE_SECURITY_VAULT": "file"}


# -- on a reachable address ------------------------------------------------------------------------


def test_beyond_this_machine_it_does_not_start_without_a_key(tmp_path: Path) -> None:
    appliance = Running(tmp_path, command=WITHOUT_MODEL, **LAN)
    ended = appliance.command("serve")
    assert ended.returncode == 78
    assert "appliance keys create" in ended.stderr and "--insecure-lan" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    key = appliance.make_key("office")
    appliance.start(ready=False)
    try:
        assert httpx.get(appliance.url + "/v1/models").status_code == 401
        good = httpx.get(appliance.url + "/v1/models", headers={"X-API-Key": key})
        assert good.status_code == 200
    finally:
        assert appliance.stop() == 0


def test_a_vault_that_cannot_be_read_keeps_it_from_starting(tmp_path: Path) -> None:
    appliance = Running(
        tmp_path, command=WITHOUT_MODEL, **{**LAN, "APPLIANCE_SECURITY_VAULT": "keyring"}
    )
    ended = appliance.command("serve")
    assert ended.returncode == 1
    assert "keyring" in ended.stderr.splitlines()[-1]
    assert not list(appliance.data.glob("keys*.json")), "and nothing else is taken instead"


def test_insecure_lan_opens_the_api_with_a_warning(tmp_path: Path) -> None:
    appliance = Running(tmp_path, command=WITHOUT_MODEL, **LAN).start("--insecure-lan", ready=False)
    try:
        assert httpx.get(appliance.url + "/v1/models").status_code == 200
        assert "no key is asked for" in appliance.log.read_text()
        assert httpx.get(appliance.url + "/", headers={"Host": "evil.example"}).status_code == 421
    finally:
        assert appliance.stop() == 0


def test_any_origin_opens_nothing_while_no_keys_are_asked_for(tmp_path: Path) -> None:
    appliance = Running(
        tmp_path, command=WITHOUT_MODEL, config='[security]\nallowed_origins = ["*"]'
    ).start(ready=False)
    try:
        assert "lets no page in" in appliance.log.read_text()
        stranger = {"Origin": "https://evil.example"}
        assert httpx.get(appliance.url + "/v1/models", headers=stranger).status_code == 403
        assert httpx.get(appliance.url + "/v1/models").status_code == 200
    finally:
        assert appliance.stop() == 0


# -- the page opened on this machine ---------------------------------------------------------------


def test_the_browser_that_is_opened_here_is_logged_in(tmp_path: Path) -> None:
    seen = tmp_path / "address"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}.part && mv {seen}.part {seen}\n')
    browser.chmod(0o700)
    appliance = Running(
        tmp_path,
        command=WITHOUT_MODEL,
        ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
        BROWSER=str(browser),
        DISPLAY=":0",
    ).start("--open", ready=False)
    try:
        deadline = time.monotonic() + 30
        while not seen.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        address = seen.read_text()
        assert address.startswith(appliance.url + "/?token=")
        assert "token=" not in appliance.log.read_text()
        with httpx.Client() as opened:
            response = opened.get(address)
            assert (response.status_code, response.headers["Location"]) == (303, "/")
            assert opened.get(appliance.url + "/api/me").json()["scope"] == "admin"
        with httpx.Client() as late:
            assert late.get(address).status_code == 303
            assert late.get(appliance.url + "/api/me").json()["scope"] is None
    finally:
        assert appliance.stop() == 0


# -- where keys must not appear --------------------------------------------------------------------

CONFIGURED = f"""
[security]
enable_auth = true
vault = "file"

[[security.api_keys]]
key = "{CANARY}"
name = "old"
rate_limit_per_minute = 100

[[security.api_keys]]
key = "{CANARY}-disabled"
name = "disabled"
enabled = false
"""


def test_a_key_of_the_configuration_works_with_a_warning_and_is_seen_nowhere(
    tmp_path: Path,
) -> None:
    appliance = Running(
        tmp_path,
        config=CONFIGURED,
        API_KEY=f"{CANARY}-environment",
        APPLIANCE_SERVER_LOG_LEVEL="debug",
    )
    made = appliance.make_key("made")
    appliance.start()
    responses: list[httpx.Response] = []
    try:
        good, bad = (CANARY, f"{CANARY}-environment", made), (f"{CANARY}-disabled", f"{CANARY}-no")
        for key in (*good, *bad):
            headers = {"X-API-Key": key}
            shown = httpx.get(appliance.url + "/v1/models", headers=headers)
            assert shown.status_code == (200 if key in good else 401), key
            responses.append(shown)
            responses += [
                httpx.get(appliance.url + path, headers=headers)
                for path in ("/api/keys", f"/nothing/here?key={key}", f"/chat/ws?token={key}")
            ]
            responses.append(httpx.post(appliance.url + "/api/login", json={"key": key}))
            responses.append(
                httpx.post(
                    appliance.url + "/v1/completions",
                    content=b'{"prompt": "x", "max_tokens": "many"}',
                    headers={**headers, "Content-Type": "application/json"},
                )
            )
        responses += [
            httpx.get(appliance.url + "/v1/models", headers=headers)
            for headers in ({"Authorization": f"Basic {CANARY}"}, {"Cookie": f"a={CANARY}"})
        ]
        children = psutil.Process(appliance.pid).children(recursive=True)
        lines = [" ".join(it.cmdline()) for it in (psutil.Process(appliance.pid), *children)]
        environments = [" ".join(it.environ().values()) for it in children]
    finally:
        assert appliance.stop() == 0
    log = appliance.log.read_text()
    assert "plain text" in log and "a wrong key was shown" in log
    response_texts = [response.text + repr(response.headers) for response in responses]
    for text in (log, *response_texts, *lines, *environments):
        assert "canary" not in text
        assert made not in text
    for file in appliance.data.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert b"canary" not in content and made.encode() not in content, file
    assert stat.S_IMODE((appliance.data / "keys.json").stat().st_mode) == 0o600


def test_import_moves_keys_out_of_the_configuration(tmp_path: Path) -> None:
    config = f"# mine\n{CONFIGURED}\n[limits]\nmax_response_tokens = 7\n"
    appliance = Running(tmp_path, command=WITHOUT_MODEL, config=config)
    file = tmp_path / "config" / "appliance" / "config.toml"
    file.chmod(0o600)
    moved = appliance.command("keys", "import", "--json")
    assert moved.returncode == 0, moved.stderr
    assert CANARY not in moved.stdout
    left = file.read_text()
    assert CANARY not in left and "# mine" in left and "enable_auth = true" in left
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = appliance.command("keys", "list", "--json")
    assert '"source": "vault"' in again.stdout and '"source": "config"' not in again.stdout
    appliance.start(ready=False)
    try:
        for key, wanted in ((CANARY, 200), (f"{CANARY}-disabled", 401)):
            response = httpx.get(appliance.url + "/v1/models", headers={"X-API-Key": key})
            assert response.status_code == wanted
        assert "plain text" not in appliance.log.read_text()
    finally:
        assert appliance.stop() == 0


def test_credentials_of_the_service_manager_are_keys(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir(mode=0o700)
    for entry in ("chat-key.tools", "admin-key.me"):
        (given / f"appliance.{entry}").write_text(f"{CANARY}-{entry}\n")
        (given / f"appliance.{entry}").chmod(0o400)
    appliance = Running(
        tmp_path,
        command=WITHOUT_MODEL,
        APPLIANCE_SERVER_HOST="0.0.0.0",
        APPLIANCE_SECURITY_VAULT="credentials",
        CREDENTIALS_DIRECTORY=str(given),
    )
    listed = appliance.command("keys", "list")
    assert "tools" in listed.stdout and "me" in listed.stdout and CANARY not in listed.stdout
    refused = appliance.command("keys", "create", "new")
    assert refused.returncode == 1 and "only reads" in refused.stderr
    appliance.start(ready=False)
    try:
        for entry, wanted in (("chat-key.tools", 403), ("admin-key.me", 200)):
            headers = {"X-API-Key": f"{CANARY}-{entry}"}
            assert httpx.get(appliance.url + "/api/keys", headers=headers).status_code == wanted
        made = httpx.post(appliance.url + "/api/keys", json={"name": "new"}, headers=headers)
        assert made.status_code == 409
    finally:
        assert appliance.stop() == 0
    assert CANARY not in appliance.log.read_text()


# -- the system's keyring --------------------------------------------------------------------------

WITH_KEYRING = """
import os, subprocess, sys, time
import httpx

environ = {**os.environ, "ENABLE_AUTH": "true", "APPLIANCE_SERVER_PORT": "0",
           "APPLIANCE_DATA_DIR": sys.argv[1], "APPLIANCE_SERVER_HOST": "0.0.0.0",
           "APPLIANCE_MODELS_FIND_ELSEWHERE": "false"}

def get(**headers):
    return httpx.get(url + "/v1/models", headers=headers, timeout=60).status_code

def keys(*arguments):
    command = [sys.executable, "-m", "tests.service.fake_service", "keys", *arguments]
    return subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout

secret = keys("create", "office").strip()
service = subprocess.Popen(
    [sys.executable, "-m", "tests.service.fake_service", "serve"],
    env=environ,
    stdout=subprocess.PIPE,
    text=True,
)
try:
    url = service.stdout.readline().split()[-1]
    assert (get(**{"X-API-Key": secret}), get()) == (200, 401)
    second = keys("create", "second").strip()
    ends = time.monotonic() + 90
    while get(**{"X-API-Key": second}) != 200:
        assert time.monotonic() < ends
    keys("revoke", "office")
    assert get(**{"X-API-Key": secret}) == 401
    assert "office" not in keys("list") and "second" in keys("list")
finally:
    service.terminate()
    assert service.wait(60) == 0
    service.stdout.close()
print(secret)
"""


def test_keys_in_the_systems_keyring_from_the_command_to_the_service(tmp_path: Path) -> None:
    data = tmp_path / "data"
    secret = run_with_keyring(WITH_KEYRING, tmp_path / "home", str(data)).strip()
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()
    assert not (data / "keys.json").exists()


# -- over restarts ---------------------------------------------------------------------------------


def test_a_browser_stays_logged_in_over_restarts_until_its_key_ends(tmp_path: Path) -> None:
    appliance = Running(
        tmp_path, command=WITHOUT_MODEL, ENABLE_AUTH="true", APPLIANCE_SECURITY_VAULT="file"
    )
    key, admin = appliance.make_key("office"), appliance.make_key("admin", "--scope", "admin")
    with httpx.Client() as browser, httpx.Client() as boss:

        def me(client: httpx.Client) -> object:
            return client.get(appliance.url + "/api/me").json()["scope"]

        appliance.start(ready=False)
        for client, secret in ((browser, key), (boss, admin)):
            assert client.post(appliance.url + "/api/login", json={"key": secret}).json()["scope"]
        appliance.kill()
        appliance.start(ready=False)
        assert (me(browser), me(boss)) == ("chat", "admin")
        appliance.command("keys", "revoke", "office")
        wait_until(lambda: me(browser) is None, "the login outlives its key")
        assert appliance.stop() == 0
        appliance.start(ready=False)
        assert (me(browser), me(boss)) == (None, "admin")
        assert browser.delete(appliance.url + "/api/logins").status_code == 401
        assert boss.delete(appliance.url + "/api/logins").status_code == 204
        assert me(boss) is None
        appliance.kill()
        appliance.start(ready=False)
        assert me(boss) is None
        for running in (True, False):
            boss.post(appliance.url + "/api/login", json={"key": admin})
            assert me(boss) == "admin"
            if not running:
                assert appliance.stop() == 0
            assert appliance.command("keys", "logout").returncode == 0
            if not running:
                appliance.start(ready=False)
            assert me(boss) is None
        assert appliance.stop() == 0
