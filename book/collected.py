"""Pages collected from all notebooks: claims, gallery, notation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from momentum_lib.collection import Notebook, caption


def section(notebook: Notebook, heading: str) -> str:
    """The text under a heading of second level, in the cell that it begins."""
    for text in notebook.sources("markdown"):
        if found := re.search(rf"^## {heading}\s*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
            return found[1].strip()
    return ""


def rows(table: str) -> Iterator[list[str]]:
    """The rows of the first Markdown table in a text, head first."""
    for line in table.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                yield cells


def _link(notebook: Notebook) -> str:
    return f"[{notebook.number} · {notebook.title}](notebooks/{notebook.stem}.ipynb)"


def claims(known: list[Notebook]) -> str:
    """Every claim the collection weighed, with the verdict, by notebook."""
    lines = [
        "# What we learned", "",
        "The closing table of every notebook, in one place. A verdict holds at the settings its notebook",
        "shows; there each claim stands beside the cell that asserts it.",
    ]  # fmt: skip
    for notebook in known:
        if text := section(notebook, "What we learned"):
            lines += ["", f"## {_link(notebook)}", "", text]
    return "\n".join([*lines, ""])


def notation(known: list[Notebook]) -> str:
    """Every symbol with its name in code, its meaning, its unit, and where it is introduced."""
    found: dict[str, tuple[list[str], list[Notebook]]] = {}
    for notebook in known:
        head, *table = list(rows(section(notebook, "Notation"))) or [[]]
        if head[:3] != ["symbol", "in code", "meaning"]:
            continue
        for symbol, code, meaning, *unit in table:
            entry = found.setdefault(symbol, ([code, meaning, *unit, ""][:3], []))
            entry[1].append(notebook)
    lines = [
        "# Notation", "",
        "The symbols of all notebooks. The name in code is the symbol in a formula is the label on an axis.",
        "Where notebooks use a symbol alike, the words are those of the first.", "",
        "| symbol | in code | meaning | units | notebooks |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for symbol, (told, users) in found.items():
        links = ", ".join(f"[{n.number}](notebooks/{n.stem}.ipynb)" for n in users)
        lines.append(f"| {symbol} | {' | '.join(told)} | {links} |")
    return "\n".join([*lines, ""])


def gallery(root: Path, known: list[Notebook]) -> str:
    """Every figure with its caption, its notebook and its numbers."""
    lines = [
        "# Gallery", "",
        "Every figure, as its notebook draws it. A figure leads to its notebook; its numbers are beside it.",
    ]  # fmt: skip
    for notebook in known:
        names = [name for name in notebook.figures if (root / "figures" / f"{name}.csv").is_file()]
        if not names:
            continue
        lines += ["", f"## {_link(notebook)}", "", "::::{container} gallery"]
        for name in names:
            text, alt = caption(root / "figures", name)
            files = ", ".join(f"[{kind.upper()}](figures/{name}.{kind})" for kind in ("png", "svg", "csv"))
            lines += [
                "", f":::{{figure}} figures/{name}.png", f":alt: {' '.join(alt.split())}",
                f":name: figure-{name}", f":target: notebooks/{notebook.stem}.html",
                f"{_escaped(text)} {files}", ":::",
            ]  # fmt: skip
        lines.append("::::")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    """A caption is plain text: nothing in it is markup."""
    return re.sub(r"([\\`*_{}\[\]<>$|#])", r"\\\1", text)
