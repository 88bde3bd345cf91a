"""Signs that a request came through a proxy, not from a program on this machine. Pure.

A proxy on this machine connects from a loopback address for everybody who can reach it. Most add a
header of some name, and any such name counts: a program here has no reason to send one. A proxy
that adds nothing looks like a program, except that nginx before 1.29.7 speaks HTTP/1.0
then, which programs no longer do.
"""

import re
from collections.abc import Iterable

_NAMES = re.compile(
    r"""
    FORWARDED(_.*)? | X_FORWARD(ED|ER)(_.*)? | VIA | X_BLUECOAT_VIA
    | (X_)?(REAL|CLIENT|TRUE_CLIENT|CLUSTER_CLIENT|REMOTE|ORIGINATING|ORIGINAL|PROXYUSER)
      _?(IP|ADDR|ADDRESS|PORT|HOST|PROTO|SCHEME|URI|URL|FORWARDED_.*)
    | (X_|WL_)?PROXY_(CLIENT|FORWARDED|REMOTE|REAL|ADD)_.*
    | X_(COMING_FROM|HOST|SCHEME|PROTO|HTTPS|SSL(_.*)?|NGINX_PROXY|REWRITE_URL|VARNISH)
    | FRONT_END_HTTPS | SURROGATE_CAPABILITY | (X_)?(CDN|ALI_CDN|INCAP|SOZU|NGROK|TAILSCALE)_.*
    | (X_)?(CF|FASTLY|FLY|AKAMAI|AZURE|ARR|ENVOY|AMZN|AMZ_CF|APPENGINE|VERCEL|CLOUD_TRACE)_.*
    """,
    re.VERBOSE,
)


def sign_of_proxy(headers: Iterable[str], protocol: str) -> str | None:
    """What says that a request came through a proxy; None: nothing does.

    Args:
        headers: names, in capitals with `_` for `-`.
        protocol: such as `HTTP/1.1`.

    Returns:
        The header's name as people write it, or the protocol.
    """
    for name in headers:
        if _NAMES.fullmatch(name):
            return name.replace("_", "-").title()
    return None if protocol == "HTTP/1.1" else protocol
