"""Clients behind a proxy seem to be local, but are never treated as local."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.admin.key_clients import socket_of
from tests.api.guarded import REACHED, Guarded
from tests.running import WITHOUT_MODEL, Running
from tests.waiting import wait_until

BY_PROXIES = """
Forwarded Via X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port X-Forwarded
X-Forwarded-Server X-Forwarded-By X-Forwarded-Prefix X-Forwarded-Ssl X-Forwarded-Client-Cert
Forwarded-For Forwarded-For-Ip X-Forwarder-For X-Original-Forwarded-For X-Real-IP X-Real-Port
X-Client-IP Client-IP X-ClientIP X-Cluster-Client-IP True-Client-IP X-True-Client-IP X-Remote-IP
X-Remote-Addr X-Originating-IP X-Original-Host X-Original-URL X-ProxyUser-Ip Proxy-Client-IP
WL-Proxy-Client-IP X-Host X-Scheme X-Proto X-Https X-Ssl X-Nginx-Proxy X-Rewrite-URL X-Varnish
Front-End-Https CDN-Loop CF-Connecting-IP CF-Ray CF-Visitor CF-IPCountry Fastly-Client-IP
Fly-Client-IP X-Azure-ClientIP X-ARR-SSL X-Envoy-External-Address X-Amzn-Trace-Id X-Amz-Cf-Id
X-Appengine-User-Ip X-Cloud-Trace-Context Tailscale-User-Login X-Vercel-Forwarded-For
Surrogate-Capability Ali-CDN-Real-IP X-BlueCoat-Via
"""
BY_PROGRAMS = """
Accept Accept-Encoding Accept-Language Cache-Control Connection Cookie DNT If-None-Match
Idempotency-Key Keep-Alive Last-Event-ID OpenAI-Beta OpenAI-Organization OpenAI-Project Pragma
Priority Range Referer Sec-Ch-Ua Sec-Fetch-Dest Sec-Fetch-User Sec-GPC TE Traceparent
Upgrade-Insecure-Requests User-Agent X-Api-Version X-Client-Info X-Client-Name X-Correlation-Id
X-HTTP-Method-Override X-Request-Id X-Requested-With X-Stainless-Arch X-Stainless-Retry-Count
X-Title HTTP-Referer Anthropic-Version X-Session-Id
"""


def names(listed: str) -> list[str]:
    return listed.split()


@pytest.mark.parametrize("proxies", [(), ("127.0.0.1",)], ids=["unnamed", "named"])
@pytest.mark.parametrize("header", names(BY_PROXIES))
def test_what_came_through_a_proxy_is_not_from_here(
    tmp_path: Path, header: str, proxies: tuple[str, ...]
) -> None:
    guarded = Guarded(tmp_path, auth=False, trusted_proxies=proxies)
    for value in ("203.0.113.9", "127.0.0.1", "for=127.0.0.1", "1.1 here", "::1"):
        response = guarded.ask("GET", "/api/keys", **{header: value})
        assert response.status_code == 401
        message = response.json["error"]["message"]
        assert header.lower() in message.lower()
        assert "security.enable_auth" in message and "security.trusted_proxies" in message
        assert guarded.ask("GET", "/", **{header: value}).status_code == REACHED


@pytest.mark.parametrize("header", names(BY_PROGRAMS))
def test_what_programs_send_is_no_sign_of_a_proxy(tmp_path: Path, header: str) -> None:
    guarded = Guarded(tmp_path, auth=False)
    assert guarded.ask("GET", "/api/keys", **{header: "x"}).status_code == REACHED


def test_through_a_proxy_a_key_lets_in_where_keys_count(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, auth=True)
    key = guarded.keys.create("k").secret
    for header in names(BY_PROXIES):
        shown = {header: "203.0.113.9", "x_api_key": key}
        assert guarded.ask("GET", "/v1/models", **shown).status_code == REACHED


def test_http_1_0_is_a_proxys(tmp_path: Path) -> None:
    """nginx's default protocol version; the real nginx is tested below."""
    guarded = Guarded(tmp_path, auth=False)
    response = guarded.ask("GET", "/api/keys", http_version="1.0")
    assert response.status_code == 401
    assert "HTTP/1.0" in response.json["error"]["message"]


# -- a real nginx ----------------------------------------------------------------------------------

NGINX = """
daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ {settings} proxy_pass {url}; }} }}
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


@contextlib.contextmanager
def nginx(folder: Path, url: str, settings: str = "", port: int = 0) -> Iterator[str]:
    """nginx as a proxy for `url`; returns its address."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program:
        pytest.skip("needs nginx (Debian's package nginx-light)")
    folder.mkdir()
    file, port = folder / "nginx.conf", port or free_port()
    file.write_text(NGINX.format(folder=folder, url=url, port=port, settings=settings))
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(file)])
    try:

        def responses() -> bool:
            assert process.poll() is None
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{port}/health").status_code < 500
            return False

        wait_until(responses, "nginx does not answer")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


FORWARDED = "proxy_set_header X-Forwarded-For $remote_addr;"
SETTINGS = {
    "as it comes": "",
    "as its manual has it": f"proxy_set_header Host $proxy_host; {FORWARDED}",
    "with X-Real-IP alone": "proxy_set_header X-Real-IP $remote_addr;",
    "over HTTP/1.1": f'proxy_http_version 1.1; proxy_set_header Connection ""; {FORWARDED}',
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_nginx_makes_nobody_an_admin(running: Running, tmp_path: Path, settings: str) -> None:
    with nginx(tmp_path / "nginx", running.url, settings) as proxy:
        response = httpx.get(proxy + "/api/keys")
        assert response.status_code == 401
        assert "security.trusted_proxies" in response.json()["error"]["message"]
        forged = httpx.get(proxy + "/api/keys", headers={"X-Forwarded-For": "127.0.0.1"})
        assert forged.status_code == 401
        assert httpx.get(proxy + "/health").json() == {"status": "ok"}
        assert httpx.get(proxy + "/").status_code == 200


def documented() -> str:
    """The nginx settings from docs/security.md, without the address."""
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    block = text.partition("location / {")[2].partition("}")[0]
    lines = [line.strip() for line in block.splitlines()]
    return " ".join(line for line in lines if not line.startswith("proxy_pass"))


def test_what_the_documentation_says_of_nginx_works(tmp_path: Path) -> None:
    port = free_port()
    appliance = Running(
        tmp_path,
        command=WITHOUT_MODEL,
        ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
        APPLIANCE_SECURITY_ALLOWED_HOSTS=f"127.0.0.1:{port}",
        APPLIANCE_SECURITY_TRUSTED_PROXIES="127.0.0.1",
    ).start(ready=False)
    try:
        key = appliance.make_key("k")
        with nginx(tmp_path / "nginx", appliance.url, documented(), port) as proxy:
            with httpx.Client(headers={"Origin": proxy}) as page:
                assert page.get(proxy + "/v1/models").status_code == 401
                assert page.post(proxy + "/api/login", json={"key": key}).status_code == 200
                assert page.get(proxy + "/v1/models").status_code == 200
                assert page.post(proxy + "/api/sessions", json={}).status_code == 201
            shown = {"Authorization": f"Bearer {key}"}
            with socket_of(appliance, f"{proxy.replace('http', 'ws')}/chat/ws", **shown) as opened:
                opened.send('{"type": "ping"}')
                assert "pong" in str(opened.recv(timeout=30))
    finally:
        assert appliance.stop() == 0
