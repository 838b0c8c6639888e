"""The only place that knows what may come next on a command line: options, commands, their values, names from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

DAYS = ("today", "yesterday", "7d", "30d")
# What a shell has to look for itself.
FILES, FOLDERS = ":files", ":folders"
_PATHS = {"FILE": FILES, "DIR": FOLDERS, "PLACE": FOLDERS}
_PUNCTUATION = frozenset("_.,/@+-")
_MAX_NAME = 100


class Option(NamedTuple):
    """An option, or a word without a name that stands for itself."""

    names: tuple[str, ...]  # as typed; none for a positional word
    dest: str
    metavar: str  # what its value is called, "" for one without a value
    choices: tuple[str, ...]  # all that its value can be, where that is known
    help: str
    default: str  # "" where it has none worth naming
    repeatable: bool
    required: bool
    excludes: frozenset[str]  # the dests of options that cannot stand beside it


class Grammar(NamedTuple):
    """What can follow a command's name."""

    description: str
    options: tuple[Option, ...]
    words: tuple[Option, ...]  # positional, in order
    commands: Mapping[str, Subcommand]


class Subcommand(NamedTuple):
    help: str
    grammar: Callable[[], Grammar]


class Offer(NamedTuple):
    """A word that may stand next; or FILES or FOLDERS."""

    word: str
    help: str = ""


# The values that are not known to the grammar: those of "project", "model", "hosts", "users" or "timezone", by the folders of --source.
Names = Callable[[str, Sequence[str]], Iterable[str]]


def offers(grammar: Grammar, words: Sequence[str], names: Names) -> list[Offer]:
    """
    What may stand in the place of the last word and begins like it.

    `words` are those behind the program's name, up to the cursor. A value is offered as what stands behind the `=` where there is one.
    """
    said = _Said(grammar)
    for word in words[:-1]:
        said.take(word)
    return said.next(words[-1], names) if words else []


def joined(words: Sequence[str]) -> list[str]:
    """Words as they were typed, from a shell that takes a `=` for a word of its own."""
    result: list[str] = []
    for word in words:
        if result and result[-1].startswith("--") and (word == "=" or result[-1].endswith("=")):
            result[-1] += word
        else:
            result.append(word)
    return result


def is_safe(name: str) -> bool:
    """Does a name mean nothing but itself to any shell, even without quotes, and is it no option?"""
    return 0 < len(name) <= _MAX_NAME and name[0] not in "-." and all(char.isalnum() or char in _PUNCTUATION for char in name)


class _Said:
    """What was said so far."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._used: list[Option] = []
        self._words = 0  # positional ones
        self._awaited: Option | None = None  # whose value comes next
        self._only_words = False  # a lone -- was said
        self._sources: list[str] = []

    def take(self, word: str) -> None:
        """One more word."""
        if self._awaited is not None:
            self._take_value(self._awaited, word)
            self._awaited = None
        elif word == "--" and not self._only_words:
            self._only_words = True
        elif word.startswith("-") and not self._only_words:
            self._take_option(*word.partition("="))
        elif word in self._grammar.commands:
            self._grammar = self._grammar.commands[word].grammar()
            self._used, self._words = [], 0
        else:
            self._words += 1

    def next(self, word: str, names: Names) -> list[Offer]:
        """What may come, where `word` is its beginning."""
        if self._awaited is not None:
            return self._values(self._awaited, word, names)
        if word.startswith("-") and not self._only_words:
            name, equals, value = word.partition("=")
            option = self._option(name)
            if not equals:
                return _beginning(word, self._options())
            return [] if option is None or not option.metavar else self._values(option, value, names)
        if self._grammar.commands:
            return _beginning(word, [Offer(name, command.help) for name, command in self._grammar.commands.items()])
        if self._words < len(self._grammar.words):
            return self._values(self._grammar.words[self._words], word, names)
        return self._options() if not word and not self._only_words else []

    def _take_option(self, name: str, equals: str, value: str) -> None:
        option = self._option(name)
        if option is None:
            return
        self._used.append(option)
        if equals:
            self._take_value(option, value)
        elif option.metavar:
            self._awaited = option

    def _take_value(self, option: Option, value: str) -> None:
        if option.dest == "source":
            self._sources.append(value)

    def _option(self, name: str) -> Option | None:
        """The option of that name, or of a name that begins so and is the only one."""
        exact = [option for option in self._grammar.options if name in option.names]
        alike = [option for option in self._grammar.options if any(each.startswith(name) for each in option.names)]
        found = exact or (alike if name.startswith("--") else [])
        return found[0] if len(found) == 1 else None

    def _options(self) -> list[Offer]:
        used = {option.dest for option in self._used}
        free = [each for each in self._grammar.options if (each.repeatable or each.dest not in used) and not each.excludes & used]
        return [Offer(option.names[-1], option.help) for option in free]

    def _values(self, option: Option, word: str, names: Names) -> list[Offer]:
        if option.metavar in _PATHS:
            return [Offer(_PATHS[option.metavar])]
        if option.choices:
            return _beginning(word, map(Offer, option.choices))
        if option.metavar == "DAY":
            return _beginning(word, map(Offer, DAYS))
        return _beginning(word, map(Offer, sorted(filter(is_safe, names(option.dest, self._sources)))))


def _beginning(word: str, offers: Iterable[Offer]) -> list[Offer]:
    return [offer for offer in offers if offer.word.startswith(word)]
