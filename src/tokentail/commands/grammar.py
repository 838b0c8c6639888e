"""The only place that looks into argparse: what can be said on the command line, as plain values."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial

from tokentail.commands import COMMANDS, SCREEN
from tokentail.completion import Grammar, Option, Subcommand

_PLAIN = partial(argparse.HelpFormatter, width=100)  # told a width, argparse does without shutil, which takes 4 ms to import


def whole() -> Grammar:
    """The grammar of `tokentail` itself; that of a command is made when it is asked for, since that takes time."""
    parser = argparse.ArgumentParser(formatter_class=_PLAIN)
    parser.add_argument("--version", action="version", help="show the version and end")
    SCREEN.configure(parser, "")
    commands = {name: Subcommand(command.help, partial(_of_command, name)) for name, command in COMMANDS.items()}
    return grammar_of(parser)._replace(commands=commands)


def grammar_of(parser: argparse.ArgumentParser) -> Grammar:
    """What a parser takes, but for what its help hides."""
    shown = [action for action in parser._actions if action.help is not argparse.SUPPRESS]
    subparsers = [action for action in shown if isinstance(action, argparse._SubParsersAction)]
    excluded = _excluded(parser)
    return Grammar(
        parser.description or "",
        tuple(_option(action, excluded) for action in shown if action.option_strings),
        tuple(_option(action, excluded) for action in shown if not action.option_strings and action not in subparsers),
        {name: each for action in subparsers for name, each in _subcommands(action).items()},
    )


def _of_command(name: str) -> Grammar:
    parser = argparse.ArgumentParser(formatter_class=_PLAIN)
    COMMANDS[name].configure(parser, name)
    return grammar_of(parser)


def _option(action: argparse.Action, excluded: Mapping[str, frozenset[str]]) -> Option:
    takes_value = action.nargs != 0
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    choices = tuple(map(str, action.choices)) if action.choices is not None else ()
    default = action.default if takes_value and action.default not in (None, argparse.SUPPRESS, []) else ""
    return Option(
        names=tuple(action.option_strings),
        dest=action.dest,
        metavar=metavar if takes_value else "",
        choices=choices,
        help=(action.help or "") % vars(action),
        default=str(default),
        repeatable=isinstance(action, argparse._AppendAction),
        required=action.required,
        excludes=excluded.get(action.dest, frozenset()),
    )


def _subcommands(action: argparse._SubParsersAction[argparse.ArgumentParser]) -> dict[str, Subcommand]:
    helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
    return {name: Subcommand(helps.get(name, ""), partial(grammar_of, parser)) for name, parser in action.choices.items()}


def _excluded(parser: argparse.ArgumentParser) -> dict[str, frozenset[str]]:
    groups = [frozenset(action.dest for action in group._group_actions) for group in parser._mutually_exclusive_groups]
    return {dest: group - {dest} for group in groups for dest in group}
