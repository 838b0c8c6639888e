"""Tests of `tokentail.web.contract` and of the whole API against the document that describes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from builders import line
from serving import Served, seeded, serving
from tokentail.web.contract import ROUTES, Asked, Invalid, Route, asked

STREAM = "/api/v1/stream"  # does not end
EXAMPLES = 25  # an address
BY_PATH = {route.path: route for route in ROUTES}


@pytest.fixture(name="served", scope="module")
def fixture_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(seeded(tmp_path_factory.mktemp("contract"))) as made:
        made.write(line("m1", stop_reason=None), line("m2", model="claude-zeta-9"))
        yield made


@pytest.fixture(name="schema", scope="module")
def fixture_schema(served: Served) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{served.address}api/v1/openapi.json").exclude(path=STREAM)


def test_the_api_is_as_its_document_says(served: Served, schema: schemathesis.BaseSchema) -> None:
    """Whatever is asked, right or wrong: a status and a body that the document has, and never an error of ours."""
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]  # our document is sound, or this fails

        @settings(max_examples=EXAMPLES, database=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case[Any]) -> None:
            nonlocal tried
            tried += 1
            # Days, zones and cursors are narrower than a schema can say.
            case.call_and_validate(base_url=served.address.rstrip("/"), excluded_checks=[positive_data_acceptance])

        ask()
    assert tried >= len(ROUTES) - 1
    assert served.process.poll() is None


PAIRS = st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=4)


@given(st.sampled_from(ROUTES), PAIRS, st.text(min_size=1, max_size=20))
def test_any_question_is_read_or_refused(route: Route, pairs: list[tuple[str, str]], place: str) -> None:
    """What is read has only what the contract has; all else is refused, and nothing else is raised."""
    places = {param.name: place for param in route.params if param.in_path}
    with contextlib.suppress(Invalid):
        assert isinstance(asked(route, pairs, places), Asked)
        assert {name for name, _ in pairs} <= {param.name for param in route.params}


def test_many_names_are_too_many() -> None:
    """Fifty of one kind, and no more."""
    route = BY_PATH["/api/v1/overview"]
    assert len(asked(route, [("model", f"m{number}") for number in range(50)], {}).all("model")) == 50
    with pytest.raises(Invalid, match="51 times"):
        asked(route, [("model", f"m{number}") for number in range(51)], {})
