"""Tests of `tokentail.web.metrics`: few labels, sound values, and names of logs that stay names."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from builders import line
from serving import seeded, serving
from tokentail.limits import Limit
from tokentail.model import Counts, Live, Metrics, Recent, Row, Share
from tokentail.web.metrics import MOST_MODELS, Seen, text

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*)\})? (-?[0-9.e+-]+|NaN)$')
NOTHING = Seen((), Counts(), (), Metrics(), 0, None, 0, 0, 0)


def samples(said: str) -> dict[str, float]:
    """Each value by its name and labels; a line that is none is a failure."""
    found = {}
    for row in said.splitlines():
        if not row.startswith("#"):
            match = SAMPLE.match(row)
            assert match, row
            assert f"# TYPE {match[1]} " in said
            key = f"{match[1]}{{{match[2]}}}" if match[2] else match[1]
            assert key not in found
            found[key] = float(match[3])
    return found


def test_what_was_counted_is_told(tmp_path: Path) -> None:
    """By model and type, as the reports have it; a model without a price has no cost."""
    with serving(seeded(tmp_path)) as served:
        served.write(line("m1", output=500), line("z1", model="claude-zeta-9", stop_reason=None))
        for _ in range(1_000):
            found = samples(served.http.get("/metrics").text)
            if found["tokentail_replies_total"] == 3:
                break
        models = {row["model"]: row for row in served.get("reports/models")["rows"]}
        for name, row in models.items():
            for kind, fields in (("input", ["input_tokens"]), ("output", ["output_tokens"]), ("cacheRead", ["cache_read_tokens"])):
                key = f'tokentail_claude_code_token_usage_tokens_total{{type="{kind}",model="{name}"}}'
                assert found[key] == sum(row[field] for field in fields)
        assert found['tokentail_claude_code_cost_usage_USD_total{model="claude-opus-5"}'] == models["claude-opus-5"]["cost_usd"]
        assert 'tokentail_claude_code_cost_usage_USD_total{model="claude-zeta-9"}' not in found
        assert (found["tokentail_replies_total"], found["tokentail_replies_not_final"]) == (3, 1)
        assert found["tokentail_bytes_read_total"] >= served.log.stat().st_size
        assert found["tokentail_looks_total"] >= 2
        assert found["tokentail_degraded"] == 0


def test_labels_are_few() -> None:
    """The cheapest of many models are one together, and nothing is lost of the sum."""
    rows = [Row(f"model-{number}", Counts(output_tokens=number, cost_usd=None if number % 2 else 1.0)) for number in range(100)]
    found = samples(text(NOTHING._replace(models=rows)))
    outputs = {key: value for key, value in found.items() if 'type="output"' in key}
    assert len(outputs) == MOST_MODELS + 1
    assert sum(outputs.values()) == sum(range(100))
    assert sum(value for key, value in found.items() if "_USD_" in key) == 50


@given(st.text(max_size=30))
def test_a_hostile_name_stays_a_value(name: str) -> None:
    """Quotes, line ends, control bytes and lone surrogates make no second sample."""
    found = samples(text(NOTHING._replace(models=[Row(name, Counts(input_tokens=7))])))
    assert sum(value for key, value in found.items() if "token_usage" in key) == 7


def test_limits_and_looks_are_told() -> None:
    """A limit of which nobody knows how far it is used has no value; percentiles are seconds."""
    known = Limit("five_hour", "official", 42.0, None, 1, 2, Counts(), None, None, ())
    recent = Recent(3, Share(1, 1), Share(1, 1), Share(1, 1), Share(1, 1), Share(2.0, 5.0), Share(1.0, 8.0))
    live = Live(True, 0, "events", 0, recent)
    found = samples(text(NOTHING._replace(limits=(known, known._replace(kind="seven_day", percent=None)), live=live)))
    assert found['tokentail_limit_used_ratio{limit="five_hour",standing="official"}'] == 0.42
    assert not any("seven_day" in key for key in found)
    assert found['tokentail_line_delay_seconds{quantile="0.99"}'] == 0.008
    assert found['tokentail_look_duration_seconds{quantile="0.5"}'] == 0.002
