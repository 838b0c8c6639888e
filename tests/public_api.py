"""
The public names of the library with their signatures and fields, as text.

    python tests/public_api.py > tests/data/public_api.txt
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator

import tokentail


def listing() -> str:
    """A line for each name, and below a class one for each of its parts."""
    return "".join(f"{line}\n" for name in tokentail.__all__ for line in _lines(name, getattr(tokentail, name)))


def _lines(name: str, value: object) -> Iterator[str]:
    match value:
        case str():
            yield f"{name}: str"
        case type():
            bases = [base.__name__ for base in value.__bases__ if base.__module__.startswith("tokentail")]
            yield f"class {name}({', '.join(bases)})" if bases else f"class {name}"
            yield from (f"    {part}" for part in _parts(value))
        case _:
            assert callable(value)
            yield f"{name}{_signature(value)}"


def _parts(kind: type) -> Iterator[str]:
    for field, annotation in inspect.get_annotations(kind).items():
        yield f"{field}: {_text(annotation)}"
    for name, value in vars(kind).items():
        if isinstance(value, property) and value.fget is not None:
            yield f"{name}: {_signature(value.fget).rpartition('-> ')[2]}  # property"
        elif inspect.isfunction(value) and (not name.startswith("_") or name in ("__enter__", "__exit__")):
            yield from (f"{name}{_signature(each)}" for each in typing.get_overloads(value) or [value])


def _signature(function: Callable[..., object]) -> str:
    found = inspect.signature(function)
    stars: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    shown = []
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        annotation = "" if parameter.annotation is parameter.empty else f": {_text(parameter.annotation)}"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        shown.append(f"{stars.get(parameter.kind, '')}{parameter.name}{annotation}{default}")
    return f"({', '.join(shown)}) -> {_text(found.return_annotation)}"


def _text(annotation: object) -> str:
    """As it stands in the code."""
    if isinstance(annotation, typing.ForwardRef):
        return annotation.__forward_arg__
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


if __name__ == "__main__":
    print(listing(), end="")
