"""What goes wrong, as `application/problem+json`."""

from __future__ import annotations

import json
from http import HTTPStatus

from starlette.responses import Response

_MORE = {405: {"allow": "GET"}, 429: {"retry-after": "1"}, 401: {"www-authenticate": "Bearer"}}


def problem(status: int, detail: str, *, allow: str = "GET", after_s: int = 0) -> Response:
    """An answer that says why there is none, and after how many seconds there may be one."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    headers = {"cache-control": "no-store", **_MORE.get(status, {}), **({"allow": allow} if status == 405 else {})}
    if after_s:
        headers["retry-after"] = str(after_s)
    return Response(json.dumps(body), status, headers, media_type="application/problem+json")
