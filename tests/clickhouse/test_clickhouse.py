"""Tests of `tokentail.fleet.clickhouse`: SQLite and ClickHouse, which runs in this process here, give the same answers."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AT_MS, OWNER, memory_store, record, records, replies_in, usage
from tokentail import prices
from tokentail.errors import StoreError, UsageError
from tokentail.fleet.clickhouse import schema
from tokentail.fleet.clickhouse.address import parse
from tokentail.fleet.clickhouse.central import ClickHouse
from tokentail.fleet.clickhouse.data import Stored
from tokentail.fleet.sessions import by_session
from tokentail.interned import records_of
from tokentail.model import Record, Reply, Usage, Window
from tokentail.periods import DAY_MS, QUARTER_MS
from tokentail.reports import data as reports_data
from tokentail.reports.build import KINDS, build
from tokentail.reports.request import Context, Request
from tokentail.store import Store
from tokentail.usage import Question

PRICES = prices.load()
EVER = (-(10**15), 10**15)
WHOSE = st.sampled_from([("", ""), ("anna", "one"), ("anna", "two"), ("ben", "one")])
SENT: st.SearchStrategy[list[Record]] = st.lists(
    st.builds(lambda made, whose: made._replace(owner=made.owner._replace(user=whose[0], host=whose[1])), records(), WHOSE), max_size=12
)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    made = ClickHouse(parse(f"chdb://{tmp_path_factory.mktemp('clickhouse')}?rollup_every_s=86400&rollups=never"))
    made.set_thresholds(PRICES.thresholds)
    yield made
    made.close()


def emptied(there: ClickHouse) -> ClickHouse:
    for name in ("records", "folders", "sums"):
        there.server.run(f"TRUNCATE TABLE {there.layout.table(name)}")
    return there


def both(there: ClickHouse, lines: Sequence[Record]) -> tuple[Store, Stored]:
    """A SQLite and a ClickHouse that were sent those records."""
    store = memory_store(thresholds=PRICES.thresholds)
    store.take(lines)
    emptied(there).add(lines)
    return store, Stored(there, PRICES)


def unflagged(replies: Iterator[Reply] | Sequence[Reply]) -> dict[str, Reply]:
    """Flags only say how a number was read, and of lines that say the same any may win."""
    return {reply.key: reply._replace(flags=0) for reply in replies}


def added_up(found: Iterator[Usage], names: Sequence[str] = ()) -> dict[tuple[object, ...], list[int]]:
    """Cells may come in several parts."""
    sums: dict[tuple[object, ...], list[int]] = {}
    for used in found:
        cell = used.cell
        key = (used.window, used.owner, cell.model, cell.prompt_class, cell.speed, cell.geo, cell.service_tier, cell.at_ms)
        row = [*cell.tokens, cell.replies, cell.not_final, cell.web_searches]
        sums[key] = [a + b for a, b in zip(sums.get(key, [0] * 8), row, strict=True)]
    return {key: row for key, row in sums.items() if any(row)}


# Records become replies


@pytest.mark.slow
@settings(max_examples=15)
@given(SENT, st.randoms(use_true_random=False), st.booleans())
def test_whatever_is_sent_makes_the_replies_of_the_rules(
    there: ClickHouse, lines: list[Record], rng: random.Random, is_merged: bool
) -> None:
    """In any portions, some of them twice, merged or not: replies and sessions are those of a SQLite that has the same records."""
    store = memory_store()
    store.take(lines)
    emptied(there)
    mixed = lines + lines[: len(lines) // 2]
    rng.shuffle(mixed)
    cut = rng.randrange(len(mixed) + 1)
    for portion in (mixed[:cut], mixed[cut:]):
        there.add(portion)
    if is_merged:
        there.server.run(f"OPTIMIZE TABLE {there.layout.table('records')} FINAL")
    data = Stored(there, PRICES)
    assert unflagged(data.replies_between(*EVER)) == unflagged(list(replies_in(store.connection).values()))
    for user, host in (("", ""), ("anna", "one"), ("ben", "one"), ("nobody", "nowhere")):
        assert dict(there.sessions(host, user)) == dict(by_session(store.connection, user, host))


def many(seed: int) -> list[Record]:
    """Records that clash in every way, some hundreds of them: cheaper than as many examples."""
    rng = random.Random(seed)
    made = []
    for _ in range(400):
        whose = rng.choice([("", ""), ("anna", "one"), ("ben", "two")])
        extras = {"iterations": [{"type": "compaction", "input_tokens": 50}]} if rng.random() < 0.2 else {}
        made.append(
            record(
                f"msg_{rng.randrange(60)}",
                request_id=rng.choice(["", "req_1", "req_2", "req/3"]),
                sidechain=rng.random() < 0.3,
                at_ms=AT_MS + rng.randrange(3) * DAY_MS,
                model=rng.choice(["claude-opus-5", "claude-haiku-4-5"]),
                usage=usage(rng.choice([1, 7]), speed=rng.choice(["standard", "fast"]), **extras),
                stopped=rng.random() < 0.5,
                owner=OWNER._replace(session=rng.choice(["s1", "s2"]), subagent=rng.random() < 0.3, user=whose[0], host=whose[1]),
            )
        )
    return made


def test_some_hundreds_of_records_give_the_same(there: ClickHouse) -> None:
    """Replies, reports and questions; the tests of all shapes of them are among the slow ones."""
    store, data = both(there, many(1))
    there.add(many(1)[:100])
    assert unflagged(data.replies_between(*EVER)) == unflagged(list(replies_in(store.connection).values()))
    context, ours = Context(PRICES, AT_MS + DAY_MS), reports_data.Stored(store.connection, PRICES)
    for kind in sorted(KINDS):
        request = Request(kind, ZoneInfo("Europe/Berlin"), breakdown=True)
        assert build(request, data, context) == build(request, ours, context)
    question = Question([Window("all", *EVER)], "owner", models={"claude-opus-5"}, users={"anna", ""})
    assert priced(data.usage(question)) == priced(ours.usage(question))
    assert dict(there.sessions("one", "anna")) == dict(by_session(store.connection, "anna", "one"))


def test_two_machines_with_differing_copies_end_exact(there: ClickHouse) -> None:
    """The copy that has seen more wins, the least owner owns it, and neither the order nor a repetition matters."""
    early = record(usage=usage(3), stopped=False, at_ms=AT_MS + 5, owner=OWNER._replace(user="anna", host="b"))
    late = record(usage=usage(900), at_ms=AT_MS, owner=OWNER._replace(session="s0", user="ben", host="a"))
    for order in ([early, late], [late, early], [early, late, early]):
        emptied(there)
        for each in order:
            there.add([each])
        (reply,) = Stored(there, PRICES).replies_between(*EVER)
        assert (reply.tokens.output, reply.at_ms, reply.final, reply.owner) == (900, AT_MS, True, late.owner)


def test_a_replay_that_comes_before_its_parent_is_a_replay(there: ClickHouse) -> None:
    """As long as there is nothing else it counts; then what it was a replay of does."""
    replay = record(request_id="req_side", sidechain=True, usage=usage(5))
    parent = record(request_id="req_1", usage=usage(70))
    emptied(there).add([replay])
    data = Stored(there, PRICES)
    assert [reply.tokens.output for reply in data.replies_between(*EVER)] == [5]
    there.add([parent])
    assert [reply.tokens.output for reply in data.replies_between(*EVER)] == [70]


@pytest.mark.slow
@given(
    st.dictionaries(
        st.sampled_from(["speed", "inference_geo", "service_tier"]), st.none() | st.booleans() | st.text(max_size=45), max_size=3
    )
)
@settings(max_examples=15)
def test_what_a_form_says_is_read_alike(there: ClickHouse, said: dict[str, object]) -> None:
    """Words are words in SQL as in Python, and hashes and prose are none."""
    line = record(usage={**usage(), **said})
    store, data = both(there, [line])
    assert unflagged(data.replies_between(*EVER)) == unflagged(list(replies_in(store.connection).values()))


# Answers


QUESTIONS = st.builds(
    Question,
    st.sampled_from(
        [
            [Window("all", *EVER)],
            [Window("a", 0, 1), Window("b", AT_MS, AT_MS + 1), Window("c", AT_MS + QUARTER_MS, AT_MS + DAY_MS)],
            [Window("day", AT_MS - AT_MS % DAY_MS, AT_MS - AT_MS % DAY_MS + DAY_MS)],
        ]
    ),
    by=st.sampled_from(["", "owner", "project"]),
    projects=st.none() | st.sets(st.sampled_from(["-a", "-b", "-c"])),
    models=st.none() | st.sets(st.sampled_from(["claude-opus-5", "claude-haiku-4-5"])),
    part=st.sampled_from(["", "not_final"]),
    sessions=st.none() | st.sets(st.sampled_from(["s1", "s9"])),
    subagents=st.none() | st.booleans(),
    users=st.none() | st.sets(st.sampled_from(["", "anna", "ben"])),
    hosts=st.none() | st.sets(st.sampled_from(["", "one", "two"])),
)


@pytest.mark.slow
@settings(max_examples=15)
@given(SENT, st.lists(QUESTIONS, min_size=1, max_size=3))
def test_a_question_has_the_same_answer(there: ClickHouse, lines: list[Record], questions: list[Question]) -> None:
    """For any windows, filters and parts, of any records."""
    store, data = both(there, lines)
    for question in questions:
        ours = reports_data.Stored(store.connection, PRICES)
        assert priced(data.usage(question)) == priced(ours.usage(question))


def priced(found: Iterator[Usage]) -> dict[tuple[object, ...], list[int]]:
    """Sums by what they cost: the store tells tiers apart only where their prices differ."""
    sums: defaultdict[tuple[object, ...], list[int]] = defaultdict(lambda: [0] * 8)
    for used in found:
        cell = used.cell
        rate = PRICES.rate(
            cell.model, cell.at_ms, prompt_class=cell.prompt_class, speed=cell.speed, geo=cell.geo, service_tier=cell.service_tier
        )
        row = [*cell.tokens, cell.replies, cell.not_final, cell.web_searches]
        key = (used.window, used.owner, cell.model, rate)
        sums[key] = [a + b for a, b in zip(sums[key], row, strict=True)]
    return {key: row for key, row in sums.items() if any(row)}


@pytest.mark.slow
@settings(max_examples=8)
@given(SENT.filter(bool), st.sampled_from(sorted(KINDS)), st.booleans())
def test_a_report_is_the_same(there: ClickHouse, lines: list[Record], kind: str, breakdown: bool) -> None:
    """Each report, whole, from either store."""
    lines = [line._replace(at_ms=max(line.at_ms, AT_MS - DAY_MS)) for line in lines]
    store, data = both(there, lines)
    request = Request(kind, ZoneInfo("Europe/Berlin"), since=date(2026, 1, 1), breakdown=breakdown)
    context = Context(PRICES, AT_MS + DAY_MS)
    assert build(request, data, context) == build(request, reports_data.Stored(store.connection, PRICES), context)


@pytest.mark.slow
@settings(max_examples=5)
@given(SENT)
def test_sums_that_are_computed_ahead_are_the_sums(there: ClickHouse, lines: list[Record]) -> None:
    """What the rollup's query gives is what the replies add up to, also after all was sent twice."""
    _, data = both(there, lines)
    there.add(lines)
    there.server.run(f"INSERT INTO {there.layout.table('sums')} {schema.rollup(there.layout)}")
    ahead = Stored(there, PRICES)
    ahead._rollups = "always"  # the fixture's address says never
    windows = [Window("a", -(QUARTER_MS * 10**6), AT_MS - AT_MS % DAY_MS), Window("b", AT_MS - AT_MS % DAY_MS, QUARTER_MS * 10**8)]
    question = Question(windows, "owner")
    assert added_up(ahead.usage(question)) == added_up(data.usage(question))
    if lines:
        assert ahead.as_of_ms is not None


def test_folders_are_the_least(there: ClickHouse) -> None:
    """As a project is called first; of projects that have records."""
    emptied(there).add([record()], [("-home-dev-app", 20, "/home/dev/app"), ("-home-dev-app", 10, "/home/dev/App"), ("-gone", 1, "/gone")])
    there.add([], [("-home-dev-app", 5, "/home/dev/app-before")])
    assert Stored(there, PRICES).folders() == {"-home-dev-app": "/home/dev/app-before"}


def test_pages_of_replies(there: ClickHouse) -> None:
    """Newest first, some at a time, and none twice."""
    lines = [record(f"msg_{number}", at_ms=AT_MS + number // 2) for number in range(7)]
    _, data = both(there, lines)
    found: list[str] = []
    before = (1 << 60, "")
    while page := data.older_replies(before, 3):
        found += [reply.key for reply in page]
        before = (page[-1].at_ms, page[-1].key)
    assert found == [line.group for line in sorted(lines, key=lambda each: (each.at_ms, each.group), reverse=True)]
    assert [reply.key for reply in data.replies_of_session("s1")] == sorted(found)
    assert [reply.key for reply in data.replies_by_group("msg_3")] == ["msg_3"]


def test_hostile_names_are_only_names(there: ClickHouse) -> None:
    """Quotes, semicolons and braces in names of any kind stay names."""
    name = "'; DROP TABLE records; -- {x:String} \\ \n %s `"
    owner = OWNER._replace(session=name, project=name, user=name, host=name)
    line = record(name, request_id=name, model=name, owner=owner)
    store, data = both(there, [line])
    assert unflagged(data.replies_between(*EVER)) == unflagged(list(replies_in(store.connection).values()))
    question = Question([Window("all", *EVER)], "owner", {name}, {name}, users={name}, hosts={name}, sessions={name})
    assert sum(used.cell.replies for used in data.usage(question)) == 1
    assert dict(there.sessions(name, name)) == dict(by_session(store.connection, name, name))
    assert list(records_of(store.connection))


# The tables


def test_to_make_the_tables_again_changes_nothing(there: ClickHouse) -> None:
    """A second hub finds what the first one made."""
    emptied(there).add([record()])
    there.make()
    there.check()
    assert len(list(Stored(there, PRICES).replies_between(*EVER))) == 1


def test_tables_of_another_version_are_refused(there: ClickHouse) -> None:
    """And nothing is written to them."""
    meta = there.layout.table("meta")
    there.server.run(f"INSERT INTO {meta} VALUES ('schema', '99', 9999999999999)")
    try:
        with pytest.raises(StoreError, match="has schema 99, and ours is 1"):
            there.check()
    finally:
        there.server.run(f"INSERT INTO {meta} VALUES ('schema', '{schema.VERSION}', 99999999999999)")


def test_a_cluster_has_the_same_columns() -> None:
    """The replicated, sharded flavour is of the same template: tables on each server, and one that spans them by a hash of the group."""
    alone, cluster = schema.Layout(), schema.Layout(cluster="main", retention_days=400)
    made = list(schema.statements(cluster))
    assert all(" ON CLUSTER 'main'" in statement for statement in made)
    assert sum("ENGINE = Distributed('main'" in statement for statement in made) == 3
    assert any("ReplicatedAggregatingMergeTree" in each and "INTERVAL 400 DAY" in each and schema._COLUMNS in each for each in made)
    assert any("cityHash64(group_text))" in each for each in made)
    assert any(schema._COLUMNS in each and "ReplicatedAggregatingMergeTree" not in each for each in schema.statements(alone))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("clickhouse://anna:pw@ch.example:9000/usage?secure=1&cluster=main", "clickhouse://ch.example:9000/usage"),
        ("clickhouse://ch.example?secure=1", "clickhouse://ch.example:8443/tokentail"),
        ("clickhouse://ch.example", "clickhouse://ch.example:8123/tokentail"),
    ],
)
def test_an_address_is_shown_without_its_password(said: str, shown: str) -> None:
    """With the ports that are usual."""
    assert str(parse(said, {})) == shown


@pytest.mark.parametrize(
    "said",
    [
        "mysql://x",
        "clickhouse://",
        "clickhouse://x:99999",
        "clickhouse://x?colour=red",
        "clickhouse://x?secure=yes",
        "clickhouse://x/a`b",
        "clickhouse://x?cluster=a'b",
        "clickhouse://x?retention_days=-1",
        "clickhouse://x?rollups=sometimes",
    ],
)
def test_what_is_no_address_is_refused(said: str) -> None:
    """Before anything is asked."""
    with pytest.raises(UsageError):
        parse(said, {})


def test_a_password_may_stand_in_the_environment() -> None:
    """Where no list of processes shows it."""
    assert parse("clickhouse://x", {"TOKENTAIL_CLICKHOUSE_PASSWORD": "pw"}).password == "pw"  # made up
    assert parse("clickhouse://u:a%40b@x", {"TOKENTAIL_CLICKHOUSE_PASSWORD": "pw"}).password == "a@b"  # likewise
