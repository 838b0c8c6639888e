"""Tests of `tokentail.web.answers`: what the API says is what the commands say, and a wrong question is told so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import coordinator, line, record, write_logs
from serving import Served, serving
from tokentail.model import Owner
from tokentail.reports.build import KINDS
from tokentail.web.contract import ROUTES

NOW = datetime.now(UTC)
NAMES = ("shop", "mill", "<img src=x onerror=alert(1)>")


def logged(root: Path) -> Path:
    """Two days of three projects, with subagents and a model that has no price."""
    logs: dict[str, bytes] = {}
    for number in range(60):
        name = NAMES[number % 3]
        at = (NOW - timedelta(minutes=47 * number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made = line(
            f"m{number}",
            output=100 + number,
            stop_reason=None if number % 7 == 0 else "end_turn",
            model="claude-zeta-9" if number % 11 == 0 else "claude-opus-5",
            timestamp=at,
            cwd=f"/home/dev/{name}",
            sessionId=f"s{number % 5}",
            **({"isSidechain": True, "agentId": "a1"} if number % 4 == 0 else {}),
        )
        session = f"-home-dev-{number % 3}/s{number % 5}"
        path = f"{session}/subagents/agent-a1.jsonl" if number % 4 == 0 else f"{session}.jsonl"
        logs[path] = logs.get(path, b"") + made
    write_logs(root / "logs", logs)
    return root


@pytest.fixture(name="served", scope="module")
def fixture_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(logged(tmp_path_factory.mktemp("api"))) as made:
        yield made


def without_moment(document: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on the second in which it was asked."""
    return {name: value for name, value in document.items() if name not in ("at", "sources")}


@pytest.mark.parametrize("name", sorted(KINDS))
@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, ()),
        (
            {"since": "7d", "project": ["shop", "mill"], "breakdown": "true"},
            ("--since", "7d", "--project", "shop", "--project", "mill", "--breakdown"),
        ),
        (
            {"model": "*opus*", "order": "cost", "limit": "2", "provenance": "true", "not_final": "true"},
            ("--model", "*opus*", "--order", "cost", "--limit", "2", "--provenance", "--not-final"),
        ),
        (
            {"timezone": "Asia/Tokyo", "estimate_output": "true", "until": "today"},
            ("--timezone", "Asia/Tokyo", "--estimate-output", "--until", "today"),
        ),
    ],
    ids=["all", "some", "best", "estimated"],
)
def test_a_report_is_that_of_the_command(served: Served, name: str, params: dict[str, Any], words: tuple[str, ...]) -> None:
    """With the same parameters as the flags."""
    if name == "models":
        params, words = (
            {key: value for key, value in params.items() if key != "breakdown"},
            tuple(word for word in words if word != "--breakdown"),
        )
    said = json.loads(served.run(name, "--json", *words))
    answer = served.get(f"reports/{name}", **params)
    for row in (*said["rows"], *answer["rows"]):
        row.pop("pace", None)  # of the moment
    assert without_moment(answer) == without_moment(said)


def test_a_choice_of_machines_is_that_of_the_commands(tmp_path: Path) -> None:
    """In every report, in the overview, minutes, sessions and replies; and a session is found by the names of its machine and person."""
    with serving(logged(tmp_path)) as served:
        owner = Owner(False, False, "s9", "-home-dev-0", "", "anna", "ci-1")
        at_ms = round(NOW.timestamp() * 1000) - 1
        (store,) = (tmp_path / "home").rglob("*.db")
        with closing(coordinator(tmp_path / "logs", store)) as engine:
            engine.change_store(lambda store: store.take([record(f"msg_{n}", at_ms=at_ms, owner=owner) for n in range(3)]))
        for params, words, names in (
            ({"host": "this"}, ("--host", "this"), ("hosts",)),
            ({"host": ["ci-*", "x"], "user": "ANNA"}, ("--host", "ci-*", "--host", "x", "--user", "ANNA"), sorted(KINDS)),
            ({"user": "nobody"}, ("--user", "nobody"), ("daily",)),
        ):
            for name in names:
                said, answer = json.loads(served.run(name, "--json", *words)), served.get(f"reports/{name}", **params)
                for row in (*said["rows"], *answer["rows"]):
                    row.pop("pace", None)  # of the moment
                assert without_moment(answer) == without_moment(said)
            replies = answer["totals"]["replies"]
            assert sum(row["replies"] for row in served.get("sessions", **params)["rows"]) == replies
            assert len(served.get("replies", limit=500, **params)["replies"]) == replies
            hers = 3 if params.get("user") == "ANNA" else 0
            if "user" in params:
                assert served.get("overview", **params)["today"]["replies"] == hers
                assert (served.get("overview", **params)["window"] or {"replies": 0})["replies"] == hers
                minutes = served.get("minutes", **params)["buckets"]
                assert sum(each["output_tokens"] for each in minutes) == 10 * hers
        for search in ("anna", "ci-1"):
            assert [row["session"] for row in served.get("sessions", search=search)["rows"]] == ["s9"]
        assert served.get("status")["counted"]["other_hosts"] == 1


def test_other_answers_are_those_of_the_commands(served: Served) -> None:
    """Limits, budgets, status and explanations."""
    assert without_moment(served.get("budgets")) == without_moment(json.loads(served.run("budget", "--json")))
    one, other = served.get("limits"), json.loads(served.run("limits", "--json"))
    assert [limit["counts"] for limit in one["limits"]] == [limit["counts"] for limit in other["limits"]]
    assert served.get("status")["counted"] == json.loads(served.run("status", "--json"))["counted"]
    for name in ("m3", "s1", "today"):
        assert served.get(f"explain/{name}") == json.loads(served.run("explain", name, "--json"))


def test_the_overview_adds_up(served: Served) -> None:
    """Today, the week and the month are what the reports say of them; the month's forecast is no less than the month."""
    seen, today = served.get("overview"), served.get("reports/daily", since="today")["totals"]
    assert {name: seen["today"][name] for name in today} == today
    week = served.get("reports/daily", since="7d")["totals"]
    assert {name: seen["week"][name] for name in week} == pytest.approx(week)
    assert sum(day["cost_usd"] or 0 for day in seen["week"]["days"]) == pytest.approx(week["cost_usd"])
    assert seen["month"]["forecast_usd"] >= seen["month"]["cost_usd"]
    (running,) = (row for row in served.get("reports/blocks")["rows"] if row["active"])
    assert {name: seen["window"][name] for name in today} == {name: running[name] for name in today}
    assert seen["window"]["start"] == running["block"]
    assert sum(model["total_tokens"] for model in seen["models"]) == today["total_tokens"]
    assert seen["shows_content"] is False


def test_filters_cut_what_is_added_up(served: Served) -> None:
    """By project, model, and whether subagents did it; the parts are the whole."""
    whole = served.get("reports/daily")["totals"]
    for parts in (
        [{"project": name.replace("*", "?")} for name in NAMES],
        [{"agent": "main"}, {"agent": "subagents"}],
        [{"model": "*opus*"}, {"model": "*zeta*"}],
    ):
        found = [served.get("reports/daily", **part)["totals"] for part in parts]
        for field in ("total_tokens", "replies", "not_final_replies"):
            assert sum(each[field] for each in found) == whole[field]
        day = [served.get("overview", **part)["today"]["total_tokens"] for part in parts]
        assert sum(day) == served.get("overview")["today"]["total_tokens"]
        replies = [len(served.get("replies", **part)["replies"]) for part in parts]
        assert sum(replies) == 60
    assert served.get("reports/daily", agent="subagents")["totals"]["replies"] == 15


@pytest.mark.parametrize("minutes", [60, 360, 1440])
def test_minutes_are_all_of_the_window(served: Served, minutes: int) -> None:
    """A bucket a minute, empty ones, too; together what the replies of that time used."""
    found = served.get("minutes", minutes=minutes)
    assert len(found["buckets"]) == minutes
    replies = [reply for reply in served.get("replies", limit=500)["replies"] if reply["at"] >= found["start"]]
    kinds = ("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens")
    assert sum(bucket[kind] for bucket in found["buckets"] for kind in kinds) == sum(reply["total_tokens"] for reply in replies)


@pytest.mark.parametrize("limit", [1, 7, 60, 500])
def test_pages_of_replies_are_all_of_them(served: Served, limit: int) -> None:
    """Newest first, none twice, none missing, whatever the size of a page."""
    keys: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(100):
        page = served.get("replies", limit=limit, **cursor)
        keys += [reply["key"] for reply in page["replies"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert keys == [f"m{number}" for number in range(60)]


def test_replies_are_of_a_session_and_of_days(served: Served) -> None:
    """And sums of what they are is the session's row."""
    replies = served.get("replies", session="s2")["replies"]
    row = next(row for row in served.get("sessions")["rows"] if row["session"] == "s2")
    assert sum(reply["total_tokens"] for reply in replies) == row["total_tokens"]
    today = served.get("replies", since="today", limit=500)["replies"]
    assert len(today) == served.get("reports/daily", since="today")["totals"]["replies"]
    assert served.get("replies", until="2020-01-01")["replies"] == []


def test_sessions_are_searched_and_paged(served: Served) -> None:
    """By their id, project or models; the total is that of all that were found."""
    whole = served.get("sessions", order="name")
    assert whole["total"] == len(whole["rows"]) == 5
    pages = [served.get("sessions", order="name", limit=2, offset=offset)["rows"] for offset in (0, 2, 4, 6)]
    assert [row["session"] for page in pages for row in page] == [row["session"] for row in whole["rows"]]
    assert {row["session"] for row in served.get("sessions", search="S3")["rows"]} == {"s3"}
    last = [row["last_at"] for row in served.get("sessions")["rows"]]
    assert last == sorted(last, reverse=True)
    assert served.get("sessions", search="nothing of that name")["rows"] == []
    assert served.get("sessions", search="zeta", limit=1)["total"] <= 5


def test_an_answer_that_is_known_is_not_sent_again(served: Served) -> None:
    """By its tag; another one comes whole."""
    first = served.http.get("/api/v1/reports/models")
    again = served.http.get("/api/v1/reports/models", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert served.http.get("/api/v1/reports/models", headers={"If-None-Match": '"x"'}).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("overview?x=1", 400, "there is no parameter 'x'"),
        ("reports/daily?since=yesteryear", 400, "since"),
        ("reports/daily?since=today&until=2020-01-01", 400, "is after"),
        ("reports/daily?since=7d&since=7d", 400, "2 times"),
        ("reports/daily?breakdown=yes", 400, "neither true nor false"),
        ("reports/daily?limit=0", 400, "no number"),
        ("reports/daily?limit=\u0663", 400, "no number"),
        ("reports/daily?timezone=Mars/Base", 400, "timezone"),
        ("reports/models?order=oldest", 400, "cannot be ordered"),
        ("reports/hourly", 400, "report is none of"),
        ("minutes?minutes=61", 400, "none of"),
        ("replies?cursor=%00", 400, "cursor"),
        ("replies?cursor=abc", 400, "cursor"),
        ("replies?limit=501", 400, "no number"),
        (f"sessions?search={'x' * 301}", 400, "longer"),
        ("overview?agent=both", 400, "none of"),
        ("explain/nobody", 404, "nobody"),
        ("nothing", 404, "nothing at this address"),
        ("../../etc/passwd", 404, "nothing at this address"),
        ("original/m1", 403, "--show-content"),
    ],
)
def test_a_wrong_question_is_told_so(served: Served, path: str, status: int, words: str) -> None:
    """As a problem that names what is wrong."""
    answer = served.http.get(f"/api/v1/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert words in problem["detail"]


def test_another_method_is_refused(served: Served) -> None:
    """With the one that there is."""
    for method, path, allowed in (
        ("POST", "/api/v1/overview", "GET"),
        ("DELETE", "/metrics", "GET"),
        ("PUT", "/", "GET"),
        ("GET", "/api/v1/session", "POST"),
    ):
        answer = served.http.request(method, path)
        assert answer.status_code == 405
        assert allowed in answer.headers["allow"]
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_document_names_every_address(served: Served) -> None:
    """And every parameter, as they are checked."""
    document = served.get("openapi.json")
    assert document["openapi"] == "3.1.0"
    found = {
        (path, method.upper()): [param["name"] for param in operation["parameters"]]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert found == {(route.path, route.method): [param.name for param in route.params] for route in ROUTES}


def test_hostile_names_are_data(served: Served) -> None:
    """A project that is called like markup is a text of JSON, and nobody takes JSON for a page."""
    answer = served.http.get("/api/v1/reports/projects")
    assert NAMES[2] in [row["project_name"] for row in answer.json()["rows"]] or any(
        "img" in row["project_name"] for row in answer.json()["rows"]
    )
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
