"""The OpenAPI document of the API, made from the table that questions are checked against."""

from __future__ import annotations

import json

from tokentail import __version__
from tokentail.web.contract import LONGEST, MOST_NAMES, ROUTES, Param, Route

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_REASONS = {
    "400": "The question is none that the contract has.",
    "401": "A token is needed.",
    "403": "This page may not ask, or content is not shown.",
    "404": "There is no such thing.",
    "413": "The body is too long.",
    "429": "Too many questions.",
    "503": "Too many streams, or the store cannot be read.",
}


def document() -> str:
    """As JSON."""
    paths: dict[str, dict[str, object]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "tokentail", "version": __version__, "description": "What your coding agents use, while they use it."},
            "paths": paths,
            "components": {
                "schemas": {"Problem": _PROBLEM},
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer"},
                    "cookie": {"type": "apiKey", "in": "cookie", "name": "tokentail"},
                },
            },
        },
        indent=1,
    )


def _operation(route: Route) -> dict[str, object]:
    found: dict[str, object] = {
        "operationId": route.name,
        "summary": route.says,
        "parameters": [_parameter(param) for param in route.params],
        "responses": {**_answer(route), **{code: _problem(says) for code, says in _REASONS.items() if _may_be(code, route)}},
    }
    if not route.is_open:
        found["security"] = [{}, {"token": []}, {"cookie": []}]
    if route.method == "POST":
        body = {
            "type": "object",
            "required": ["token"],
            "properties": {"token": {"type": "string", "maxLength": 200}},
            "additionalProperties": False,
        }
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return found


def _may_be(code: str, route: Route) -> bool:
    match code:
        case "404":
            return route.may_be_missing
        case "413":
            return route.method == "POST"
    return True


def _answer(route: Route) -> dict[str, object]:
    if not route.answer:
        return {"204": {"description": "The cookie is set."}}
    schema: dict[str, object] = {"type": "object"} if route.answer == "application/json" else {"type": "string"}
    return {"200": {"description": route.says, "content": {route.answer: {"schema": schema}}}, "304": {"description": "As it was."}}


def _problem(says: str) -> dict[str, object]:
    return {"description": says, "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _parameter(param: Param) -> dict[str, object]:
    one: dict[str, object] = {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[^\\x00]*$"}
    if param.choices:
        one = {"type": "string", "enum": list(param.choices)}
    elif param.kind == "flag":
        one = {"type": "boolean"}
    elif param.kind == "number":
        one = {"type": "integer", "minimum": param.least, "maximum": param.most}
    schema = {"type": "array", "items": one, "maxItems": MOST_NAMES} if param.many else one
    return {
        "name": param.name,
        "in": "path" if param.in_path else "query",
        "required": param.needed,
        "description": param.says,
        "schema": schema,
    }
