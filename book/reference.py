"""The reference of the library: every public name, by room, as its docstring tells it."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from dataclasses import dataclass, field
from pathlib import Path

from references import cited

import momentum_lib

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Room:
    """A module or package of the library and the public names it gives, in the stub's order."""

    name: str
    what: str
    package: str = "momentum_lib"
    names: list[str] = field(default_factory=list)


@functools.cache
def rooms() -> tuple[Room, ...]:
    """The rooms that give public names: `momentum_lib` itself, then `momentum_lib.learning`."""
    told = dict(
        re.findall(
            r"^\| \d \| `(\w+)(?:\.py|/)` \| (.+?) \|$",
            (ROOT / "README.md").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    )
    found: dict[str, Room] = {}
    for package in ("", "learning"):
        stub = ROOT / "momentum_lib" / package / "__init__.pyi"
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                name = package or str(node.module).split(".")[0]
                home = ".".join(["momentum_lib", package]).strip(".")
                room = found.setdefault(name, Room(name, told.get(name, ""), home))
                room.names.extend(alias.asname or alias.name for alias in node.names)
    return tuple(found.values())


@functools.cache
def homes() -> dict[str, str]:
    """Where each public name is documented: the name with its package."""
    return {name: f"{room.package}.{name}" for room in rooms() for name in room.names}


def thing(room: Room, name: str) -> object:
    """The object of a public name."""
    module = __import__(room.package, fromlist=[name])
    return getattr(module, name)


def summary(room: Room, name: str) -> str:
    """The first paragraph of its docstring.

    Raises
    ------
    ValueError
        It has none: what is public is documented.
    """
    if name in CONSTANTS:
        return CONSTANTS[name]
    text = inspect.getdoc(thing(room, name)) or ""
    own = type(thing(room, name)).__doc__
    if not text or (text == inspect.cleandoc(own or "") and not inspect.isclass(thing(room, name))):
        raise ValueError(f"{room.package}.{name} is public and has no docstring; write one.")
    return " ".join(text.split("\n\n")[0].split())


#: What has no docstring of its own: values, told by the comment above them in the library.
CONSTANTS = {
    "RULES": "Every linear rule by name, a student's own among them; it maps a name to its `Rule`.",
    "NONLINEAR": "Rules that are not linear, by name; `function_restart`, `clipped`, `lookahead` make more.",
    "CONVERSIONS": "Pairs of a special and a general rule, with the letters that turn one into the other.",
    "THEORY": "How every picture draws theory: thin, dashed, black; keywords for Matplotlib's `plot`.",
}


def index() -> str:
    """All names on one page, by room, each with its first sentence."""
    lines = [
        "Library", "=======", "",
        "Every public name, by the room it lives in. All are imported from ``momentum_lib`` itself, those of",
        "*learning* from ``momentum_lib.learning``. Rules have :doc:`pages of their own </rules/index>`.", "",
        ".. toctree::", "   :hidden:", "",
    ]  # fmt: skip
    shown = [room for room in rooms() if room.name != "rules"]
    lines += [f"   {room.name}" for room in shown]
    for room in shown:
        lines += [
            "",
            f":doc:`{room.name}`",
            "-" * (len(room.name) + 7),
            "",
            escaped(room.what).capitalize() + ".",
            "",
        ]
        lines += [
            ".. list-table::",
            "   :class: names",
            "   :widths: 30 70",
            "",
        ]
        for name in room.names:
            lines += [
                f"   * - :py:obj:`{name} <{room.package}.{name}>`",
                f"     - {escaped(summary(room, name))}",
            ]
    return "\n".join([*lines, ""])


def page(room: Room, notebooks: dict[str, list[str]]) -> str:
    """The reference of a room; each name with the notebooks that use it."""
    lines = [room.name, "=" * len(room.name), "", escaped(room.what).capitalize() + ".", ""]
    lines += [f".. py:currentmodule:: {room.package}", ""]
    for name in room.names:
        summary(room, name)  # refuses what is not documented
        used = notebooks.get(name, [])
        body = ["", f"   Used in {', '.join(used)}.", ""] if used else [""]
        it = thing(room, name)
        where = f"{room.package}.{name}"
        if isinstance(it, momentum_lib.Rule):
            lines += [f".. py:data:: {name}", "   :no-index:", "", f"   {escaped(summary(room, name))}", ""]
            lines += [f"   Its page: :doc:`/rules/{name}`.", *body]
        elif name in CONSTANTS:
            lines += [f".. py:data:: {name}", "", f"   {CONSTANTS[name]}", *body]
        elif inspect.isclass(it):
            lines += [f".. autoclass:: {where}", "   :members:", *body]
        else:
            lines += [f".. autofunction:: {where}", *body]
    return "\n".join([*lines, ""])


def escaped(text: str) -> str:
    """Prose of a docstring as reStructuredText that says the same."""
    kept = re.split(r"(``.*?``|`[^`]+`_?|:\w+:`[^`]+`)", text)
    return "".join(part if number % 2 else _plain(part) for number, part in enumerate(kept))


def _plain(text: str) -> str:
    text = re.sub(r"(?<!\*)\*(?!\*)", r"\\*", text)
    return re.sub(r"(?<=\w)_(?!\w)|\|", lambda found: f"\\{found[0]}", text)


def escape_docstring(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Docstrings are written to be read as they are; formulas in them are shown as they stand."""
    example = formula = False
    made: list[str] = []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith(">>>"):
            example = True
        elif not line.strip():
            example = formula = False
        if (
            not example
            and not formula
            and indent >= 4
            and made
            and not made[-1].strip()
            and _is_display(made, lines)
        ):
            made += ["::", ""]
            formula = True
        made.append(line if example or formula else cited(escaped(line)))
    lines[:] = made


def _is_display(made: list[str], lines: list[str]) -> bool:
    """Whether an indented block stands in the opening prose, before the first section."""
    return not any(re.fullmatch(r"\s*-{3,}", line) for line in made)
