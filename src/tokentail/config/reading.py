"""The only place that holds a file of settings against the list of keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tokentail.config import LIMIT_PERIODS, Alias, Blocks, Budget, Config, Fleet, ModelRates, Prices, Projects, Remote, Statusline, Webhooks
from tokentail.config.keys import KEYS, MAX_DECIMALS, KeyPath, budget_name, model_name, nearest, project_name
from tokentail.config.toml import as_toml, dotted, short, shown

_KEYS = {key.path: key for key in KEYS}
_TABLES = {path[:length] for path in _KEYS for length in range(1, len(path))}
_NAMES: Mapping[KeyPath, Callable[[str], str]] = {
    ("projects", "aliases"): project_name,
    ("prices", "models"): model_name,
    ("budgets",): budget_name,
}
_HUNDREDTHS_OF_INPUT = {"cache_read": 10, "cache_write_5m": 125, "cache_write_1h": 200}
_USUAL_PERIODS = {"burn_rate": "hour", "limit": "block"}
_DOTS = " (a name with dots stands in quotes)"


class Reading:
    """
    What a document says.

    Attributes:
        problems: a sentence for each thing that is wrong with it.
    """

    def __init__(self, document: Mapping[str, object]) -> None:
        self.problems: list[str] = []
        self._found: dict[KeyPath, object] = {}
        self._table(document, (), ())

    def config(self) -> Config:
        """All settings, where there are no problems."""
        assert not self.problems, "they are the caller's to tell"
        return Config._make(self._value((field,), default) for field, default in Config()._asdict().items())

    def _table(self, table: Mapping[str, object], at: KeyPath, kind: KeyPath) -> None:
        """`kind` is the path of the table with a * for each name that the person chose."""
        for path, key in _KEYS.items():
            if path[:-1] == kind and key.is_needed and path[-1] not in table:
                self.problems.append(f"[{short(dotted(at))}] has no {path[-1]}, and needs it")
        for name, value in table.items():
            if _is_known((*kind, name)):
                self._entry((*at, name), value, (*kind, name))
            elif kind in _NAMES:
                self._named(name, value, at, kind)
            else:
                self.problems.append(_unknown(name, value, at, kind))
        if kind == ("prices", "models", "*"):
            self._check_usual(table, at)
        if kind == ("budgets", "*"):
            self.problems += [f"[{short(dotted(at))}] is about {problem}" for problem in self._unfit(at)]

    def _unfit(self, at: KeyPath) -> Iterator[str]:
        """What of a budget does not go with its measure."""
        measure, period = self._found.get((*at, "measure")), self._found.get((*at, "period"))
        if measure == "burn_rate" and period not in (None, "hour"):
            yield 'a burn rate, whose period is always "hour" (leave the period out)'
        if measure != "limit":
            return
        if period not in (None, *LIMIT_PERIODS):
            yield 'a limit, whose period is "block" for the one of 5 hours or "week" for that of 7 days'
        if float(str(self._found.get((*at, "threshold"), 0))) > 100:
            yield "a limit, whose threshold is a percentage: at most 100"
        for name in ("projects", "models", "hosts", "users"):
            if self._found.get((*at, name)):
                yield f"a limit, which is of the whole account: {name} cannot be told apart (leave them out)"

    def _check_usual(self, table: Mapping[str, object], at: KeyPath) -> None:
        """The rates that follow from that of the input are exact, too."""
        rate = str(self._found.get((*at, "input"), 0))
        for name, count in _HUNDREDTHS_OF_INPUT.items():
            if name not in table and len(_hundredths(rate, count).partition(".")[2]) > MAX_DECIMALS:
                why = f"{count / 100:g} × input has more than {MAX_DECIMALS} decimals"
                self.problems.append(f"[{short(dotted(at))}] has no {name}, and needs it ({why})")

    def _named(self, name: str, value: object, at: KeyPath, kind: KeyPath) -> None:
        try:
            path = (*at, _NAMES[kind](name))
        except ValueError as hint:
            self.problems.append(f"{short(dotted((*at, name)))} cannot be used{hint}")
            return
        if path in self._found:
            self.problems.append(f"{short(dotted(path))} is named twice")
        self._entry(path, value, (*kind, "*"))

    def _entry(self, at: KeyPath, value: object, kind: KeyPath) -> None:
        where = short(dotted(at))
        if kind not in _TABLES:
            try:
                self._found[at] = _KEYS[kind].read(value)
            except ValueError as hint:
                dots = _DOTS if isinstance(value, dict) and "*" in kind else hint
                self.problems.append(f"{where} is {shown(value)}, and must be {_KEYS[kind].values}{dots}")
        elif isinstance(value, dict):
            self._table(value, at, kind)
        else:
            self.problems.append(f"{where} is {shown(value)}, and must be a table, [{where}]")

    def _value(self, at: KeyPath, default: object) -> object:
        match at, default:
            case ("projects", "aliases"), _:
                return tuple(Alias(path[-1], str(name)) for path, name in self._found.items() if path[:-1] == at)
            case ("prices", "models"), _:
                return tuple(self._rates(path[:-1]) for path in self._found if path[:2] == at and path[-1] == "input")
            case ("budgets",), _:
                return tuple(self._budget(path[:-1]) for path in self._found if path[:1] == at and path[-1] == "measure")
            case _, Blocks() | Fleet() | Projects() | Prices() | Remote() | Statusline() | Webhooks():
                return type(default)._make(self._value((*at, field), value) for field, value in default._asdict().items())
            case _:
                return self._found.get(at, default)

    def _budget(self, at: KeyPath) -> Budget:
        given = {name: self._found[*at, name] for name in Budget._fields if (*at, name) in self._found}
        if usual := _USUAL_PERIODS.get(str(given["measure"])):
            given.setdefault("period", usual)
        return Budget(at[-1], **given)  # type: ignore[arg-type]  # each was read by its key

    def _rates(self, model: KeyPath) -> ModelRates:
        given = {name: str(self._found[*model, name]) for name in ModelRates._fields if (*model, name) in self._found}
        usual = {name: _hundredths(given["input"], count) for name, count in _HUNDREDTHS_OF_INPUT.items()}
        return ModelRates(model[-1], **(usual | given))


def _is_known(kind: KeyPath) -> bool:
    return kind in _KEYS or kind in _TABLES


def _hundredths(rate: str, count: int) -> str:
    """That many hundredths of a rate, exactly."""
    whole, _, decimals = rate.partition(".")
    digits = str(int(whole + decimals) * count).rjust(len(decimals) + 3, "0")
    point = len(digits) - len(decimals) - 2
    return f"{digits[:point]}.{digits[point:]}".rstrip("0").rstrip(".")


def _unknown(name: str, value: object, at: KeyPath, kind: KeyPath) -> str:
    where = f" in [{short(dotted(at))}]" if at else ""
    return f"unknown key {short(as_toml(name))}{where}{_meant(name, value, kind)}"


def _meant(name: str, value: object, kind: KeyPath) -> str:
    """The key that was perhaps meant: one of this table, or one that belongs elsewhere."""
    known = [path for path in _KEYS.keys() | _TABLES if path[-1] != "*"]
    if near := nearest(name, {path[-1] for path in known if path[:-1] == kind}):
        return f' (did you mean "{near}"?)'
    if "*" in kind and isinstance(value, dict):
        return _DOTS
    elsewhere = {path[-1]: path[:-1] for path in known if "*" not in path}
    if near := nearest(name, elsewhere):
        table = elsewhere[near]
        return f' (did you mean "{near}", which stands {f"in [{dotted(table)}]" if table else "above all tables"}?)'
    return " (`tokentail config show --default` shows all keys)"
