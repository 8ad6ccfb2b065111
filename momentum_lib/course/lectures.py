"""Slides and print: a notebook as pages for a lecture room and for paper, each one file with no network.

The slides follow the notebook's form: a section gives its claim with the prediction, then its pictures with
what to see. The print leaves out imports and solutions. Formulas become MathML, pictures stand in the file.
"""

from __future__ import annotations

import ast
import base64
import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import mistune
from latex2mathml.converter import convert

from momentum_lib.collection import Notebook, caption, parse_cell
from momentum_lib.course.copies import student
from momentum_lib.course.plans import Section, sections
from momentum_lib.course.questions import Cell, exercises, text_of

__all__ = ["printed", "slides"]

#: Paragraphs that belong before a picture, and those that belong beside it.
_BEFORE: Final = ("Claim", "Predict", "Why", "Prediction")
_BESIDE: Final = ("What to see", "Verdict", "What it does not show")
_LINES: Final = 16  # of printed output on a slide

_STYLE: Final = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; line-height: 1.45;
  color: #16202a; background: #fff; }
img { max-width: 100%; height: auto; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
code { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; } td, th { padding: .15em .6em; border-bottom: 1px solid #c8d0d8;
  text-align: left; vertical-align: top; }
math[display="block"] { margin: .6em 0; } a { color: inherit; }
"""
_SLIDES: Final = """
html { scroll-snap-type: y mandatory; }
.slide { height: 100vh; padding: 3.2vh 4vw 4.5vh; scroll-snap-align: start; overflow: hidden; display: flex;
  flex-direction: column; position: relative; break-after: page; }
.slide h1 { font-size: 5.4vh; line-height: 1.15; margin: 0 0 2vh; }
.body { flex: 1; min-height: 0; font-size: 3.4vh; display: flex; gap: 3vw; overflow: hidden; }
.body > div { flex: 1; min-width: 0; } .body > div > :first-child { margin-top: 0; }
.claim .body, .task .body { font-size: 4.6vh; }
.head .body { flex-direction: column; } .head .body > div { flex: 0 0 auto; }
.head .body p { margin: 0 0 1.2vh; } .head .body img { display: block; max-height: 46vh; margin: 0 auto; }
.picture .body { flex-direction: column; gap: 1.5vh; align-items: center; }
.picture figure { flex: 1 1 auto; min-height: 0; margin: 0; display: flex; justify-content: center;
  width: 100%; }
.picture figure img { max-height: 100%; object-fit: contain; }
.picture .body > div { flex: 0 0 auto; font-size: .8em; max-width: 88vw; }
.slide footer { position: absolute; right: 2vw; bottom: 1.2vh; font-size: 1.9vh; color: #5a6672; }
pre { font-size: .62em; background: #f3f5f7; padding: .6em; margin: 0 0 .6em; }
@page { size: 1280px 720px; margin: 0; } @media print { html { scroll-snap-type: none; }
  .slide { height: 720px; } }
"""
#: What is too long for its slide gets smaller; arrows, space and page keys turn the pages.
_SCRIPT: Final = """
const slides = [...document.querySelectorAll('.slide')];
function fit() {
  for (const slide of slides) {
    const body = slide.querySelector('.body');
    body.style.fontSize = '';
    let size = parseFloat(getComputedStyle(body).fontSize);
    const over = () => [body, ...body.children].some(
      b => b.scrollHeight > b.clientHeight + 1 || b.scrollWidth > b.clientWidth + 1);
    while (over() && size > 9) body.style.fontSize = (size -= 0.5) + 'px';
  }
}
addEventListener('resize', fit);
addEventListener('beforeprint', fit);
addEventListener('load', fit);
addEventListener('keydown', event => {
  const on = ['ArrowRight', 'ArrowDown', 'PageDown', ' '].includes(event.key);
  const step = on - ['ArrowLeft', 'ArrowUp', 'PageUp'].includes(event.key);
  if (!step) return;
  event.preventDefault();
  const here = Math.round(scrollY / innerHeight);
  slides[Math.min(slides.length - 1, Math.max(0, here + step))].scrollIntoView();
});
"""
_PRINT: Final = """
body { max-width: 46rem; margin: 0 auto; padding: 1rem; font-size: 10.5pt; }
h1 { font-size: 1.7em; } h2 { font-size: 1.25em; margin: 1.6em 0 .4em; break-after: avoid; }
pre { font-size: .78em; line-height: 1.35; background: #f6f7f8; padding: .5em .7em; margin: .5em 0; }
pre, figure, table, tr, math, li { break-inside: avoid; } p { orphans: 3; widows: 3; }
pre.shown { background: none; border-left: 2px solid #c8d0d8; }
figure { margin: .6em 0; text-align: center; } figure img { max-height: 11cm; }
table { font-size: .9em; margin: .5em 0; } .task { break-inside: avoid; }
.write { border-bottom: 1px solid #c8d0d8; height: 2.2em; }
@page { size: A4; margin: 16mm 15mm; } @media print { body { max-width: none; padding: 0; } }
"""


def slides(root: Path, notebook: Notebook) -> str:
    """A notebook's slides: title, for each section claim and pictures, the exercises, what was learned."""
    pages = list(_pages(root, notebook))
    made = []
    for number, (kind, heading, body) in enumerate(pages, 1):
        foot = f"{notebook.number} · {number} of {len(pages)}"
        made.append(
            f'<section class="slide {kind}"><h1>{_inline(heading)}</h1><div class="body">{body}</div>'
            f"<footer>{foot}</footer></section>"
        )
    return _page(notebook.title, _STYLE + _SLIDES, "\n".join(made) + f"<script>{_SCRIPT}</script>")


def printed(root: Path, notebook: Notebook) -> str:
    """A notebook for paper: its prose, pictures and code, without imports and solutions; room to write."""
    parts = []
    for cell in student(notebook)["cells"]:
        if cell["cell_type"] == "markdown":
            task = ' class="task"' if cell.get("id", "").startswith("task-") else ""
            parts.append(f"<div{task}>{_markdown(root, text_of(cell))}</div>")
        elif cell.get("id", "").startswith("check-"):
            parts.append('<div class="write"></div>' * 3)
        elif "remove-cell" not in cell["metadata"].get("tags", ()):
            if code := _without_imports(text_of(cell)):
                parts += [f"<pre>{html.escape(code)}</pre>", *_outputs(root, notebook, cell)]
    return _page(notebook.title, _STYLE + _PRINT, "\n".join(parts))


def _page(title: str, style: str, body: str) -> str:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{style}</style>'
    head += f"<title>{html.escape(title)}</title>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def _pages(root: Path, notebook: Notebook) -> Iterator[tuple[str, str, str]]:
    """Kind, heading and body of each slide."""
    first = text_of(notebook.content["cells"][0])
    paragraphs = [text for text in re.split(r"\n{2,}", first) if not text.startswith("# ")]
    told = [text for text in paragraphs if not text.startswith(("![", "**You need", "**You will**"))]
    pictures = [_words(root, text) for text in paragraphs if text.startswith("![")]
    yield "head", notebook.title, _words(root, "\n\n".join(told)) + "".join(pictures[:1])
    for section in sections(notebook):
        yield from _of_section(root, notebook, section)
    for exercise in exercises(notebook):
        yield "task", f"Exercise {exercise.id}", _words(root, exercise.task)
    learned = [text for text in notebook.sources("markdown") if text.startswith("## What we learned")]
    for text in learned:
        yield "table", "What we learned", _words(root, text.partition("\n")[2])


def _of_section(root: Path, notebook: Notebook, section: Section) -> Iterator[tuple[str, str, str]]:
    paragraphs = [
        p.strip() for p in re.split(r"\n{2,}", section.prose) if not p.startswith(("## ", "![", "|"))
    ]
    before = _led(paragraphs, _BEFORE) or "\n\n".join(paragraphs[:2])
    beside = _led(paragraphs, _BESIDE)
    yield "claim", section.heading, _words(root, before)
    code = [cell for cell in section.cells if cell["cell_type"] == "code"]
    pictures = [one for cell in code for one in _pictures(root, notebook, cell)]
    for number, picture in enumerate(pictures):
        last = number == len(pictures) - 1
        text = _words(root, beside) if beside and last else ""
        yield "picture", section.heading, picture + text
    if not pictures:
        said = "\n".join(text for cell in code for text in _streams(cell)).strip().splitlines()
        shown = f"<pre>{html.escape(chr(10).join(said[:_LINES]))}</pre>" if 0 < len(said) <= _LINES else ""
        if beside or shown:
            yield "words", section.heading, f"<div>{shown}{_markdown(root, beside)}</div>"


def _led(paragraphs: list[str], leads: tuple[str, ...]) -> str:
    """The paragraphs that begin with a bold or slanted lead, with the formula that follows one."""
    found, follows = [], False
    for text in paragraphs:
        lead = re.match(r"\*{1,2}([^*]+?)[.:]?\*{1,2}", text)
        if lead:
            follows = lead[1].startswith(leads)
        elif not text.startswith("$$"):
            follows = False
        if follows:
            found.append(text)
    return "\n\n".join(found)


def _streams(cell: Cell) -> Iterator[str]:
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            yield "".join(output["text"])


def _pictures(root: Path, notebook: Notebook, cell: Cell) -> Iterator[str]:
    named = [name for name in notebook.figures if f'"{name}"' in text_of(cell)]
    for output in cell["outputs"]:
        if data := output.get("data", {}).get("image/png"):
            alt = caption(root / "figures", named[0])[1] if named else "What the cell above draws"
            source = f"data:image/png;base64,{''.join(data).replace(chr(10), '')}"
            yield f'<figure><img src="{source}" alt="{html.escape(alt, quote=True)}"></figure>'


def _outputs(root: Path, notebook: Notebook, cell: Cell) -> Iterator[str]:
    pictures = _pictures(root, notebook, cell)
    for output in cell["outputs"]:
        data = output.get("data", {})
        if output["output_type"] == "stream":
            yield f'<pre class="shown">{html.escape("".join(output["text"]).rstrip())}</pre>'
        elif "image/png" in data:
            yield next(pictures)
        elif "text/latex" in data:
            yield _formula("".join(data["text/latex"]).replace(r"\displaystyle", "").strip("$ \n"), "block")
        elif "text/markdown" in data:
            yield _markdown(root, "".join(data["text/markdown"]))
        elif "text/plain" in data and "iframe" not in "".join(data.get("text/html", "")):
            yield f'<pre class="shown">{html.escape("".join(data["text/plain"]).rstrip())}</pre>'


def _without_imports(source: str) -> str:
    lines = source.splitlines()
    for node in reversed(parse_cell(source, "a cell").body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines).strip("\n")


_MATH: Final = re.compile(r"(```.*?```|`[^`\n]*`)|\$\$(.+?)\$\$|\$([^$\n]+(?:\n[^$\n]+)?)\$", re.DOTALL)


def _markdown(root: Path, text: str) -> str:
    """Markdown as HTML: formulas as MathML, pictures in the page, links into the collection as words."""
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        if found[1]:
            return found[1]
        kept.append(_formula(found[2] or found[3], "block" if found[2] else "inline"))
        return f"\x02{len(kept) - 1}\x03"

    def embedded(found: re.Match[str]) -> str:
        file = (root / "notebooks" / found[1]).resolve()
        if not file.is_file():
            return found[0]
        return f'src="data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"'

    render: Any = mistune.create_markdown(escape=False, plugins=["table"])
    made = str(render(_MATH.sub(keep, text)))
    made = re.sub(r'src="([^":]+\.png)"', embedded, made)
    made = re.sub(r'<a href="(?!https?:)[^"]*">(.*?)</a>', r"\1", made, flags=re.DOTALL)
    return re.sub(r"\x02(\d+)\x03", lambda found: kept[int(found[1])], made)


def _words(root: Path, text: str) -> str:
    return f"<div>{_markdown(root, text)}</div>"


def _inline(text: str) -> str:
    made = _markdown(Path(), text).strip()
    return made.removeprefix("<p>").removesuffix("</p>")


def _formula(latex: str, display: str) -> str:
    return str(convert(latex.strip(), display=display))
