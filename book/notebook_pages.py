"""Notebooks as pages: numbered, cited, with alternative texts and links to the rules and functions they use.

The files stay as they are, the download button gives them; what a page needs besides is put in as Sphinx
reads it.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from docutils.nodes import make_id
from references import linked

from momentum_lib.collection import Notebook, caption, parse_cell

#: Where links of the repository lead in the book.
_ELSEWHERE = {"README.md": "index.md", "figures/README.md": "gallery.md", "references.bib": "references.md"}


def prepared(root: Path, docname: str, text: str) -> str:
    """The source of a page, as Sphinx shall read it."""
    if not docname.startswith("notebooks/"):
        return redirected(text)
    file = root / f"{docname}.ipynb"
    if not file.is_file():
        return redirected(linked(text))
    return _notebook(root, Notebook(file), json.loads(text))


def redirected(text: str) -> str:
    """A text with links into the repository led to pages of the book."""
    for there, here in _ELSEWHERE.items():
        text = re.sub(rf"\]\(((?:\.\./)*){re.escape(there)}(?=[)#])", rf"](\g<1>{here}", text)
    return text


def _notebook(root: Path, notebook: Notebook, content: dict[str, Any]) -> str:
    cells = content["cells"]
    heading = ""
    for number, cell in enumerate(cells):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            if number == 0:
                text = text.replace("# ", f"# {notebook.number} · ", 1)
            heading = (re.findall(r"^##? (.+)", text, re.MULTILINE) or [heading])[-1]
            if text.startswith("## Further reading"):
                text = linked(text)
            cell["source"] = redirected(text)
            continue
        for output in cell["outputs"]:
            data = output.get("data", {})
            for kind in data.keys() & {"text/html", "text/markdown"}:
                data[kind] = _printed(root, "".join(data[kind]))
        if any(kind.startswith("image/") for o in cell["outputs"] for kind in o.get("data", {})):
            alt = _caption(root, notebook, cells[number:]) or f"Drawn in the section {heading}"
            cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
    cells.append(
        {"cell_type": "markdown", "metadata": {}, "source": _used(root, notebook), "id": "in-the-book"}
    )
    return json.dumps(content)


def _printed(root: Path, text: str) -> str:
    """What a cell printed: an explorer is seen here, and links are left alone by Sphinx."""

    def leading(found: re.Match[str]) -> str:
        start, stem, place = found.groups()
        file = root / "notebooks" / f"{stem}.ipynb"
        told = "\n".join(Notebook(file).sources("markdown")) if place and file.is_file() else ""
        # A heading with a formula gets another id than its words: there the top of the page must do.
        known = {make_id(heading) for heading in re.findall(r"^##+ ([^$\n]+)$", told, re.MULTILINE)}
        place = make_id(unquote(place or ""))
        return f"{start}{stem}.html" + (f"#{place}" if place in known else "")

    text = text.replace(" Nothing to see here? Run this cell.", "")
    return re.sub(
        r"""((?:href="|\]\()[./]*(?:notebooks/)?)(\w+)\.ipynb(?:#([^")]+))?(?=[")])""", leading, text
    )


def _caption(root: Path, notebook: Notebook, cells: list[dict[str, Any]]) -> str:
    """The caption of the figure that a cell shows: the one saved in it, or in the next that saves any."""
    for cell in cells:
        if cell["cell_type"] == "code":
            for name in notebook.figures:
                if f'"{name}"' in "".join(cell["source"]):
                    return caption(root / "figures", name)[1]
    return ""


@functools.cache
def names_in(notebook: Path) -> frozenset[str]:
    """What a notebook takes from momentum_lib, and the rules it looks up."""
    found = set[str]()
    for source in Notebook(notebook).sources("code"):
        for node in ast.walk(parse_cell(source, notebook.name)):
            match node:
                case ast.ImportFrom(module=str(module)) if module.split(".")[0] == "momentum_lib":
                    found.update(alias.name for alias in node.names)
                case ast.Subscript(
                    value=ast.Name(id="RULES" | "NONLINEAR"), slice=ast.Constant(value=str(v))
                ):
                    found.add(v)
    return frozenset(found)


def _used(root: Path, notebook: Notebook) -> str:
    import rule_facts

    rules = rule_facts.every_rule()
    names = sorted(names_in(notebook.path))
    drawn = [name for name in notebook.figures if (root / "figures" / f"{name}.csv").is_file()]
    lists = {
        "Rules": [f"[{name}](../rules/{name}.md)" for name in names if name in rules],
        "Functions": [f"{{py:obj}}`{name} <momentum_lib.{name}>`" for name in names if name in _functions()],
        "Figures with their numbers": [f"[{name}](../figures/{name}.csv)" for name in drawn],
    }
    lines = [f"**{what}:** {', '.join(links)}" for what, links in lists.items() if links]
    return "\n\n".join(["## In the rest of the book", *lines])


@functools.cache
def _functions() -> frozenset[str]:
    import reference
    import rule_facts

    return frozenset(name for room in reference.rooms() for name in room.names) - set(rule_facts.every_rule())
