"""Tries out a rate limit: requests one token again and again, and prints status and headers.

    python3 try_rate_limit.py http://127.0.0.1:3000 --key sk-… --requests 20

Needs only Python. Exits with 0 if the limit held: no more requests were answered than it allows.
"""

import argparse
import json
import sys
import urllib.error
import urllib.request

HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After")


def send(address: str, key: str | None) -> tuple[int, dict[str, str]]:
    """Sends one request; its status and rate limit headers."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    body = json.dumps({"prompt": "Hi", "max_tokens": 1}).encode()
    request = urllib.request.Request(f"{address}/v1/completions", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            status, got = response.status, response.headers
    except urllib.error.HTTPError as refused:
        status, got = refused.code, refused.headers
    return status, {name: got[name] for name in HEADERS if got[name] is not None}


def main() -> int:
    """Sends the requests and prints each result."""
    parser = argparse.ArgumentParser(description="Tries out the appliance's rate limit.")
    parser.add_argument("address", help="such as http://127.0.0.1:3000")
    parser.add_argument("--key", help="an API key; without one, the limit is per IP address")
    parser.add_argument("--requests", type=int, default=20, help="how many to send")
    arguments = parser.parse_args()

    answered = refused = 0
    limit = None
    for number in range(1, arguments.requests + 1):
        status, headers = send(arguments.address.rstrip("/"), arguments.key)
        shown = "  ".join(f"{name}: {value}" for name, value in headers.items())
        print(f"{number:4}  {status}  {shown}")
        if status not in (200, 429):
            print(f"The appliance answered with {status}, which is not about a rate limit.")
            return 2
        answered += status == 200
        refused += status == 429
        limit = int(headers["X-RateLimit-Limit"]) if "X-RateLimit-Limit" in headers else limit
    if limit is None:
        print("There is no limit for this key or address.")
        return 0
    print(f"{answered} answered and {refused} refused, with a limit of {limit} a minute.")
    return 0 if answered <= limit else 1


if __name__ == "__main__":
    sys.exit(main())
