"""What goes wrong, as `application/problem+json`."""

from __future__ import annotations

import json
from http import HTTPStatus

from starlette.responses import Response

_MORE = {405: {"allow": "GET"}, 429: {"retry-after": "1"}, 401: {"www-authenticate": "Bearer"}}


def problem(status: int, detail: str, *, allow: str = "GET") -> Response:
    """An answer that says why there is none."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    headers = {"cache-control": "no-store", **_MORE.get(status, {}), **({"allow": allow} if status == 405 else {})}
    return Response(json.dumps(body), status, headers, media_type="application/problem+json")
