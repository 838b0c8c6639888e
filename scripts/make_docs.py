"""
Write the documents that are made from the program: docs/config.md from the list of settings, docs/cli.md from the commands.

    python scripts/make_docs.py            write them
    python scripts/make_docs.py --check    say which of them are not current; exit code 1 when one is
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from tokentail.commands import COMMANDS, grammar
from tokentail.completion import Grammar, Option
from tokentail.config import pages

Member: TypeAlias = tuple[str, Grammar]  # a command and its name

DOCS = Path(__file__).resolve().parents[1] / "docs"


def cli_reference() -> str:
    """The text of docs/cli.md."""
    whole = grammar.whole()
    return _CLI.format(commands=_commands(whole), options=_options([("tokentail", whole)]), sections="\n\n".join(_sections(whole)))


def main(words: list[str]) -> int:
    old = [name for name, made in DOCUMENTS.items() if not _is_current(DOCS / name, made())]
    if "--check" in words:
        for name in old:
            print(f"docs/{name} is not current (run python scripts/make_docs.py)")
        return 1 if old else 0
    for name in old:
        (DOCS / name).write_text(DOCUMENTS[name](), encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


DOCUMENTS: Mapping[str, Callable[[], str]] = {"config.md": pages.reference, "cli.md": cli_reference}


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _sections(whole: Grammar) -> Iterator[str]:
    """A section for the commands of each module, and one for each command of a command."""
    for _, group in groupby(COMMANDS, lambda name: COMMANDS[name].module):
        members = [(name, whole.commands[name].grammar()) for name in group]
        yield _section("tokentail", members)
        for name, each in members:
            for below, command in each.commands.items():
                yield _section(f"tokentail {name}", [(below, command.grammar())])


def _section(above: str, members: Sequence[Member]) -> str:
    lines = []
    for name, of in members:
        words = "".join(f" {option.metavar}" for option in of.words) + (" ACTION" if of.commands else "")
        lines.append(f"{above} {name}{words}{' [OPTIONS]' if _named(of) else ''}")
    about = [of.description for _, of in members] if len(members) == 1 else []
    shown = [f"| `{name}` | {of.description} |" for name, of in members] if len(members) > 1 else []
    parts = [f"## {above} {', '.join(name for name, _ in members)}", *about, "```text\n" + "\n".join(lines) + "\n```"]
    parts += ["\n".join(["| command | shows |", "|---|---|", *shown])] if shown else []
    parts += [_commands(of) for _, of in members if of.commands]
    return "\n\n".join([*parts, *filter(None, [_options(members)])])


def _commands(of: Grammar) -> str:
    rows = [f"| `{name}` | {command.help} |" for name, command in of.commands.items()]
    return "\n".join(["| command | does |", "|---|---|", *rows])


def _options(members: Sequence[Member]) -> str:
    """The options of several commands, each with the commands that have it where not all of them do."""
    owners: dict[Option, list[str]] = {}
    for name, of in members:
        for option in (*of.words, *_named(of)):
            owners.setdefault(option._replace(excludes=frozenset()), []).append(name)
    heads = ["option", *(["default"] if any(option.default for option in owners) else []), "means"]
    rows = [" | ".join(filter(None, _cells(option, names, len(members), "default" in heads))) for option, names in owners.items()]
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {row} |" for row in rows)]) if rows else ""


def _cells(option: Option, owners: Sequence[str], members: int, with_default: bool) -> Iterator[str]:
    names = ", ".join(option.names)
    yield f"`{f'{names} {option.metavar}'.strip()}`"
    if with_default:
        yield f"`{option.default}`" if option.default else "–"
    means = option.help
    if option.choices:
        means += f": {', '.join(f'`{choice}`' for choice in option.choices)}"
    if option.repeatable and "several times" not in means:
        means += "; may be given several times"
    if len(owners) < members:
        means += f" ({', '.join(f'`{name}`' for name in owners)})"
    yield means.replace("|", "\\|")


def _named(of: Grammar) -> list[Option]:
    """All options but `--help`, which every command has."""
    return [option for option in of.options if "--help" not in option.names]


_CLI = """\
# The command line

All commands and options. This page is made from the program itself by `python scripts/make_docs.py`. `-h` or `--help` after any
command says the same.

## tokentail

```text
tokentail [COMMAND] [OPTIONS]
```

Without a command: the live screen on a terminal, today's overview elsewhere.

{commands}

{options}

{sections}

## Days and names

A day is a date like `2026-10-01`, or `today`, `yesterday`, `7d` (today and the six days before), a week like `2026-W40` or a month
like `2026-10`; as the last day, of a week or month its last one. Time zones have IANA names, like `Europe/Berlin`. In the names of
projects and models `*`, `?` and `[...]` stand for what they do in a shell; put such a name in quotes.

## Output and exit codes

The result goes to stdout, everything else to stderr. Where stdout is no terminal, or `NO_COLOR` is set, there are no colours.

| code | means |
|---|---|
| 0 | done; also when the reader of the output went away |
| 1 | a file, a folder or the store could not be used, or `tokentail verify` found a difference; what it is stands on stderr |
| 2 | the words or the settings are wrong |
| 3 | `tokentail budget --check` found a budget that is crossed |
| 130 | ended by Ctrl-C |

A line of a log that cannot be read changes no exit code: it is counted in the notes of the report.

## Environment

| variable | means |
|---|---|
| `TOKENTAIL_HOME` | the folder that holds the stores, instead of the system's folder for application data |
| `TOKENTAIL_WEBHOOK_SECRET` | what webhooks of [budgets](budgets.md#secrets) are signed with |
| `TOKENTAIL_PUSH_TOKEN` | this machine's token for `tokentail push` and `reconcile` ([fleet](fleet.md)) |
| `TOKENTAIL_CLICKHOUSE_PASSWORD` | the password of a [ClickHouse](fleet-clickhouse.md), where its address has none |
| `TOKENTAIL_SITE_KEY` | the key by which names travel as hashes ([fleet](fleet.md)) |
| `TOKENTAIL_CONFIG` | the file of [settings](config.md), instead of the one in the system's folder for settings |
| `CLAUDE_CONFIG_DIR` | folders of Claude Code, with commas between them, that are read beside the usual ones |
| `XDG_CONFIG_HOME` | where `claude/projects` and `Claude` are looked for, instead of `~/.config` |
| `HOME` | the home folder, under which the usual places are |
| `AWS_PROFILE` | the profile of `~/.aws` that buckets are read with; other variables of the clouds: [remote.md](remote.md#who-may-read) |
| `AZURE_STORAGE_ACCOUNT` | the account whose containers are read |
| `AZURE_STORAGE_CONNECTION_STRING` | the same with its key and its server |
| `STORAGE_EMULATOR_HOST` | a server of one's own that is asked for `gs://`, without credentials |
| `TZ` | the time zone where neither an option nor the settings name one |
| `NO_COLOR` | no colours, whatever it is set to |
| `TERM` | no colours if it is `dumb` |
| `COLORFGBG` | whether the terminal is light or dark, where it says so; the live screen goes by it |
| `COLUMNS` | how wide a table may be, instead of the terminal's width |

## Completion

Save what `tokentail completion` prints where your shell looks for such scripts:

```console
$ tokentail completion bash > ~/.local/share/bash-completion/completions/tokentail
$ tokentail completion zsh > ~/.zfunc/_tokentail
$ tokentail completion fish > ~/.config/fish/completions/tokentail.fish
```

For zsh, `~/.zfunc` has to be in `fpath` before `compinit` runs: `fpath+=~/.zfunc; autoload -Uz compinit; compinit`. What is offered
comes from the program that is installed, so the script stays right when you update it. The names of projects and models come from
the store; those that a shell would take for more than a word are left out.
"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
