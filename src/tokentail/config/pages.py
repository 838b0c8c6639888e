"""The settings as people read them: those in force, a file to start from, and docs/config.md. All are made from the list of keys."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from tokentail.config import Alias, Budget, Config, ModelRates
from tokentail.config.keys import KEYS, Key, KeyPath
from tokentail.config.toml import as_toml, dotted

_ALIAS = Alias("~/src/shop", "shop")
_BUDGET = Budget("a day", "cost", "20", desktop=True)
_RATES = ModelRates("my-model", "3", "15", "0.3", "3.75", "6")


def in_force(config: Config, path: Path, *, exists: bool) -> str:
    """All settings as a file that says the same: what each one means, its default, and whether it is another now."""
    origin = "Settings from" if exists else "These are the defaults: there is no"
    return f"# {origin} {as_toml(path)}.\n# What differs from its default is marked as changed.\n\n{_file(config, off='')}"


def template() -> str:
    """A file to start from: every setting has its default and is commented out."""
    return f"# Settings of tokentail. Take away the # before a setting and change it.\n\n{_file(Config(), off='#')}"


def reference() -> str:
    """The text of docs/config.md."""
    rows = [f"| `{key.name.replace('*', 'NAME')}` | {key.values} | {_default_cell(key)} | {key.meaning} |" for key in KEYS]
    return _REFERENCE.format(rows="\n".join(rows), template=template())


def default_of(key: Key) -> object:
    """The default of a key that stands in `Config`."""
    return _value(Config(), key.path)


def _file(config: Config, *, off: str) -> str:
    """The settings as TOML; `off` goes before each of them."""
    parts = []
    for table, keys in groupby(KEYS, lambda key: key.path[:-1]):
        match table:
            case ("projects", "aliases"):
                parts.append(_aliases(config.projects.aliases, *keys))
            case ("prices", "models", "*"):
                parts.append(_models(config.prices.models, list(keys)))
            case ("budgets", "*"):
                parts.append(_budgets(config.budgets, list(keys)))
            case _:
                parts += [f"[{dotted(table)}]\n"] if table else []
                parts.append("\n".join(_setting(config, key, off) for key in keys))
    return "\n".join(parts)


def _setting(config: Config, key: Key, off: str) -> str:
    value = _value(config, key.path)
    mark = "" if value == default_of(key) else "  # changed"
    return f"# {key.meaning}\n# It is {key.values}. Default: {as_toml(default_of(key))}\n{off}{key.path[-1]} = {as_toml(value)}{mark}\n"


def _aliases(aliases: tuple[Alias, ...], key: Key) -> str:
    lines = [f"{as_toml(alias.project)} = {as_toml(alias.name)}  # changed" for alias in aliases]
    example = f"#{as_toml(_ALIAS.project)} = {as_toml(_ALIAS.name)}"
    return "\n".join(["[projects.aliases]", "", f"# {key.meaning}", f"# It is {key.values}.", *(lines or [example]), ""])


def _models(models: tuple[ModelRates, ...], keys: list[Key]) -> str:
    about = [f"# {key.path[-1]}: {key.meaning} {'It must be there.' if key.is_needed else f'Default: {key.default}'}" for key in keys]
    tables = [f"\n[{dotted(('prices', 'models'))}.{as_toml(model.model)}]  # changed\n{_rates(model, '')}" for model in models]
    example = f"#[prices.models.{as_toml(_RATES.model)}]\n{_rates(_RATES, '#')}"
    return "\n".join([f"# Prices of your own. Each rate is {keys[0].values}.", *about, *(tables or [example]), ""])


def _rates(rates: ModelRates, off: str) -> str:
    return "\n".join(f"{off}{name} = {rate}" for name, rate in rates._asdict().items() if name != "model")


def _budgets(budgets: tuple[Budget, ...], keys: list[Key]) -> str:
    about = [
        f"# {key.path[-1]}: {key.meaning} {key.values[:1].upper()}{key.values[1:]}. "
        + ("It must be there." if key.is_needed else f"Default: {key.default}")
        for key in keys
    ]
    tables = [f"\n[budgets.{as_toml(budget.name)}]  # changed\n{_budget(budget, '')}" for budget in budgets]
    example = f"#[budgets.{as_toml(_BUDGET.name)}]\n{_budget(_BUDGET, '#')}"
    return "\n".join(["# Budgets of your own: what is told when it is crossed (docs/budgets.md).", *about, *(tables or [example]), ""])


def _budget(budget: Budget, off: str) -> str:
    usual = Budget("", "cost", "0")
    lines = []
    for name, value in budget._asdict().items():
        if name == "name" or (name in Budget._field_defaults and value == getattr(usual, name)):
            continue
        shown, hidden = (_without_secrets(str(value)), "  # hidden in part") if name == "webhook" else (value, "")
        said = str(shown) if name == "threshold" else as_toml(shown)
        lines.append(f"{off}{name} = {said}{hidden if shown != value else ''}")
    return "\n".join(lines)


def _without_secrets(address: str) -> str:
    """An address without what may be known to nobody else: who knows the path of a webhook can often send to it."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    host = rest.partition("/")[0].rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{host}/..." if rest != host else address


def _value(config: Config, path: KeyPath) -> object:
    value: object = config
    for name in path:
        value = getattr(value, name)
    return value


def _default_cell(key: Key) -> str:
    if "*" not in key.path:
        return f"`{as_toml(default_of(key))}`".replace("|", "\\|")
    return "must be given" if key.is_needed else key.default or "–"


_REFERENCE = """\
# Settings

tokentail needs no settings. What you want to be otherwise stands in one file in the format [TOML](https://toml.io):

```console
$ tokentail config path              # where the file is looked for
$ tokentail config show --default    # a file to start from
$ tokentail config show              # all settings in force; what differs from its default is marked
$ tokentail config check             # everything that is wrong with the file; exit code 2 when something is
```

The file is `config.toml` in the folder that the system has for settings: `~/.config/tokentail` on Linux and
`~/Library/Application Support/tokentail` on macOS. The variable `TOKENTAIL_CONFIG` can name another file. Where there is no
file, every setting has its default. An option on the command line goes before the file.

A file with a mistake is not used in part: every command that needs settings says what is wrong and ends with exit code 2. A key
that tokentail does not know is a mistake, too.

## Keys

| key | what it may be | default | meaning |
|---|---|---|---|
{rows}

`NAME` stands for a name of your own, in quotes where it holds more than letters, digits, `-` and `_`. A folder is a whole path
and may begin with `~`. Rates are taken as they are written; nothing is rounded.

## A file to start from

```toml
{template}```
"""
