"""Puts together what Sphinx reads: the collection as it is, and the pages made from it.

A file is written only where it changed, so that a second build reads little anew.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import collected
import reference
import references
import rule_facts
import rule_pages
import sheet
from notebook_pages import names_in
from reference import escape_docstring

from momentum_lib.collection import Notebook, notebooks, write_whole

__all__ = ["assemble", "escape_docstring"]

#: What is read, shown or offered for download as it stands.
AS_IT_IS = ("notebooks/*.ipynb", "notebooks/*.md",
            "figures/*.png", "figures/*.svg", "figures/*.csv", "figures/*.html",
            "LICENSE", "CITATION.cff", "CONTRIBUTING.md")  # fmt: skip
#: Written by hand for the book.
BY_HAND = ("glossary.md", "past_one_machine.md")


def assemble(root: Path, folder: Path) -> None:
    """Write the sources of the book into a folder, and take away what no longer belongs there."""
    kept = {folder / name for name in _copied(root, folder)}
    for name, text in _made(root, folder):
        file, content = folder / name, text.encode() if isinstance(text, str) else text
        kept.add(file)
        if not file.is_file() or file.read_bytes() != content:
            write_whole(file, content)
    for file in folder.rglob("*"):
        if file.is_file() and file not in kept:
            file.unlink()


def _copied(root: Path, folder: Path) -> Iterator[str]:
    files = [file for pattern in AS_IT_IS for file in root.glob(pattern)]
    for file, name in [(f, f.relative_to(root)) for f in files] + [
        (root / "book" / n, Path(n)) for n in BY_HAND
    ]:
        there = folder / name
        if not there.is_file() or file.read_bytes() != there.read_bytes():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, there)
        yield str(name)


def _made(root: Path, folder: Path) -> Iterator[tuple[str, str | bytes]]:
    known = notebooks(root)
    users = defaultdict(list)
    for notebook in known:
        for name in names_in(notebook.path):
            users[name].append(notebook)
    yield "index.md", _front_page(root, known)
    yield "references.md", references.page(_cited(known))
    yield "claims.md", collected.claims(known)
    yield "gallery.md", collected.gallery(root, known)
    yield "notation.md", collected.notation(known)
    for room in reference.rooms():
        if room.name != "rules":
            used = {
                name: [f":doc:`{n.number} </notebooks/{n.stem}>`" for n in users[name]] for name in room.names
            }
            yield f"api/{room.name}.rst", reference.page(room, used)
    yield "api/index.rst", reference.index()
    kept = root / ".momentum" / "book" / "rules"
    facts = rule_facts.facts(root, kept)
    yield "sheet.md", sheet.page(facts, known)
    yield from rule_pages.pages(facts, kept, users)


def _cited(known: list[Notebook]) -> dict[str, list[str]]:
    """Who cites a work: notebooks where they say what to read, and rules."""
    cited = defaultdict(list)
    for notebook in known:
        reading = [text for text in notebook.sources("markdown") if text.startswith("## Further reading")]
        for key in references.mentioned("\n".join(reading)):
            cited[key].append(f"[{notebook.number}](notebooks/{notebook.stem}.ipynb)")
    for name, rule in rule_facts.every_rule().items():
        for key in references.mentioned(rule_facts.card(rule).get("Source", "")):
            cited[key].append(f"[`{name}`](rules/{name}.md)")
    return cited


def _front_page(root: Path, known: list[Notebook]) -> str:
    """README, with the contents of the book behind it."""
    chapters = [f"{n.number} · {n.title} <notebooks/{n.stem}>" for n in known]
    questions = [f"notebooks/{file.stem}" for file in sorted((root / "notebooks").glob("*.md"))]
    contents = {
        "Notebooks": chapters,
        "Look up": [*questions, "claims", "gallery", "glossary", "notation", "sheet", "references"],
        "Rules and library": ["rules/index", "api/index", "past_one_machine"],
        "Taking part": ["CONTRIBUTING"],
    }
    lines = [(root / "README.md").read_text(encoding="utf-8")]
    for title, pages in contents.items():
        lines += [f"```{{toctree}}\n:hidden:\n:caption: {title}\n", *pages, "```", ""]
    return "\n".join(lines)
