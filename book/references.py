"""The bibliography: references.bib as a page, and "Author Year" in a text as a link into it."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pybtex.database import Entry, parse_file
from pybtex.plugin import find_plugin
from pybtex.richtext import Text

BIB = Path(__file__).resolve().parent.parent / "references.bib"


@functools.cache
def entries() -> Mapping[str, Entry]:
    """The works, by key."""
    return dict(parse_file(BIB, "bibtex").entries)


@functools.cache
def _mentions() -> re.Pattern[str]:
    """How a text names the works: the first author, at most a list of names, the year. Leftmost counts."""
    between = r"(?:(?!\d{4})[^:;*()\[\]`\n]|\n(?!\n)){0,90}?"
    ways = [
        rf"(?P<{key}>{re.escape(_names(entry)[0])}\b{between}\b{entry.fields['year']})"
        for key, entry in entries().items()
    ]
    return re.compile(rf"(?<![\w’'])(?:{'|'.join(ways)})\b(?![\w\]])")


def mentioned(text: str) -> list[str]:
    """Keys of the works that a text names."""
    return list(dict.fromkeys(str(found.lastgroup) for found in _mentions().finditer(text)))


def linked(text: str) -> str:
    """A text with each work it names linked to its entry."""
    return _mentions().sub(lambda found: f"[{found[0]}](#{found.lastgroup})", text)


def cited(text: str) -> str:
    """The same in reStructuredText."""
    return _mentions().sub(lambda found: f":ref:`{found[0]} <{found.lastgroup}>`", text)


def page(users: Mapping[str, list[str]]) -> str:
    """The bibliography, in the order of authors and years, each work with where it is cited.

    Parameters
    ----------
    users : mapping of key to list of str
        Links, as Markdown.
    """
    style = find_plugin("pybtex.style.formatting", "plain")()
    backend = find_plugin("pybtex.backends", "markdown")()
    lines = ["# References", "", "Every work the collection cites, and where."]
    known = sorted(entries().items(), key=_place)
    for (key, _), made in zip(known, style.format_entries([entry for _, entry in known]), strict=True):
        lines += ["", f"({key})=", "", _text(made.text.render(backend))]
        if users.get(key):
            lines += ["", f"{{.cited}}\nCited in {', '.join(users[key])}."]
    return "\n".join([*lines, ""])


def _place(item: tuple[str, Entry]) -> tuple[list[str], str]:
    return [name.casefold() for name in _names(item[1])], item[1].fields["year"]


def _names(entry: Entry) -> list[str]:
    """The authors' last names. The writer is handed over: `render_as` would ask every package for it."""
    people = [Text.from_latex(" ".join(person.last_names)) for person in entry.persons["author"]]
    return [name.render(_writer()) for name in people]


@functools.cache
def _writer() -> Any:
    return find_plugin("pybtex.backends", "text")()


def _text(markdown: str) -> str:
    """Pybtex escapes more than Markdown needs, and leaves bare addresses bare."""
    markdown = re.sub(r"\\([-.()!+#])", r"\1", markdown)
    return re.sub(r"(?<![(<\[])\b(https?://[^\s)]+[^\s).,])(?!\])", r"<\1>", markdown)
