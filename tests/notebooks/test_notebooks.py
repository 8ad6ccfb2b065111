"""What every notebook keeps to, read from its file; `nbval` executes them besides.

Each check gives a list of complaints. The second half of this file breaks a notebook that keeps to
everything, one rule at a time, and sees each check complain.
"""

import ast
import copy
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from momentum_lib import published
from momentum_lib.collection import Notebook, machine_path, notebooks, output_texts, parse_cell

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = notebooks(ROOT)
INSTALL = NOTEBOOKS[0].sources("code")[0]

TAIL = ("Exercises", "In practice", "What we learned", "Further reading", "Next")
WITHOUT_CLAIM = ("Notation", "Set up", *TAIL)  # headings of sections that need assert nothing
CODE_CELLS = range(12, 32)  # without the one that installs
LINES = 15  # of code in a cell, without imports, comments and blank lines
BYTES = 1_000_000
FIGURES_BYTES = 30_000_000
RESULT_BYTES = 300_000


@dataclass
class Section:
    heading: str
    prose: str = ""
    code: list[dict] = field(default_factory=list)


def sections(notebook):
    """What stands between two second-level headings; the first section is the head."""
    found = [Section("")]
    for cell in notebook.content["cells"]:
        if cell["cell_type"] == "code":
            found[-1].code.append(cell)
            continue
        fenced = False
        for line in text_of(cell).splitlines():
            fenced ^= line.lstrip().startswith("```")
            if line.startswith("## ") and not fenced:
                found.append(Section(line[3:].strip()))
            else:
                found[-1].prose += line + "\n"
        found[-1].prose += "\n"
    return found


def code_cells(notebook):
    return [cell for cell in notebook.content["cells"] if cell["cell_type"] == "code"]


def text_of(cell):
    return "".join(cell["source"])


# ------------------------------------------------------------------------------------------------- checks


def check_shape(notebook):
    first = notebook.content["cells"][0]
    headings = [section.heading for section in sections(notebook)][1:]
    titles = re.findall(r"^# \S", "\n".join(notebook.sources("markdown")), flags=re.MULTILINE)
    if first["cell_type"] != "markdown" or not text_of(first).startswith("# ") or len(titles) != 1:
        yield "begins with its only title, a markdown cell '# Verb the thing'"
    if not re.fullmatch(r"\d\d_[a-z0-9_]+", notebook.stem):
        yield "is named 05_verb_the_thing.ipynb"
    tail = headings[-len(TAIL) :]
    if len(tail) < len(TAIL) or not all(h.startswith(t) for h, t in zip(tail, TAIL, strict=True)):
        yield f"ends with the headings {', '.join(TAIL)}; found {', '.join(tail)}"
    for word in ("You will", "You will be able to", "You need"):
        if f"**{word}" not in sections(notebook)[0].prose:
            yield f"says **{word}** before its first section"
    if (count := len(code_cells(notebook)) - 1) not in CODE_CELLS:
        yield f"has {CODE_CELLS.start} to {CODE_CELLS.stop - 1} code cells, not {count}"
    if text_of(code_cells(notebook)[0]) != INSTALL:
        yield "begins with the code cell that installs the collection elsewhere, the same in every notebook"
    if (size := notebook.path.stat().st_size) >= BYTES:
        yield f"stays under {BYTES / 1e6:g} MB; it takes {size / 1e6:.2f}"


def check_execution(notebook):
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"is executed in order, from 1, without gap; found {counts}"
    for number, cell in enumerate(code_cells(notebook), 1):
        if any(output["output_type"] == "error" for output in cell["outputs"]):
            yield f"cell {number} shows an error"
        shown = "\n".join(output_texts(cell))
        if re.search(r"\d%\|", shown):
            yield f"cell {number} shows a progress bar"
        if found := machine_path(shown + text_of(cell), ROOT):
            yield f"cell {number} names {found}, a place of one machine"
        if found := re.search(r"<[\w. ]+ at 0x[0-9a-f]+>", shown):
            yield f"cell {number} shows an address: {found[0]}"
        if others := set(cell["metadata"]) - {"tags", "jupyter", "collapsed"}:
            yield f"cell {number} carries metadata {sorted(others)}; `momentum reproduce` drops it"
        if cell.get("id") is None:
            yield f"cell {number} has no id; `momentum reproduce` gives one"


def check_length(notebook):
    for number, cell in enumerate(code_cells(notebook), 1):
        if (count := lines_of_code(text_of(cell))) > LINES:
            yield f"cell {number} has {count} lines of code; at most {LINES}, else move it to momentum_lib"


def lines_of_code(source):
    imports = set()
    for node in ast.walk(parse_cell(source, "a cell")):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.update(range(node.lineno, node.end_lineno + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(bool(line.strip()) and line.lstrip()[0] != "#" and n not in imports for n, line in lines)


def check_claims(notebook):
    for section in sections(notebook)[1:]:
        if not section.heading.startswith(WITHOUT_CLAIM) and not any(map(asserts, section.code)):
            yield f"section {section.heading!r} asserts nothing; add an assert or published.check"
    if not any("exercises.check_" in text_of(cell) for cell in code_cells(notebook)):
        yield "has an exercise with its exercises.check_..."


def asserts(cell):
    for node in ast.walk(parse_cell(text_of(cell), "a cell")):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call) and re.search(
            r"published\.check$|\bassert_\w+$", ast.unparse(node.func)
        ):
            return True
    return False


def check_published(notebook):
    for id in notebook.published:
        if id not in published.entries():
            yield f"checks {id!r}, which is not in published.toml"


def check_decimals(notebook):
    for section in sections(notebook):
        known = list(published_numbers(notebook))
        for cell in section.code:
            known += numbers(text_of(cell)) + numbers("\n".join(output_texts(cell)))
        for shown, amount, half_unit in decimals(section.prose):
            if not any(abs(abs(number) - amount) <= half_unit for number in known):
                where = section.heading or "the head"
                yield f"{shown} in {where!r} is not in the code or output of its section, nor published"


def check_figures(notebook):
    for name in notebook.figures:
        for kind in ("png", "svg", "csv"):
            if not (ROOT / "figures" / f"{name}.{kind}").is_file():
                yield f"figures/{name}.{kind} is missing; run `momentum reproduce {notebook.number}`"


def check_results(notebook):
    for name in notebook.results:
        file = ROOT / "notebooks" / "results" / f"{name}.csv"
        if not file.is_file():
            yield f"results/{name}.csv is missing; run `momentum reproduce --full {notebook.number}`"
        elif (size := file.stat().st_size) >= RESULT_BYTES:
            yield f"results/{name}.csv stays under {RESULT_BYTES / 1e3:g} kB; it takes {size / 1e3:.0f}"


CHECKS = [
    check_shape,
    check_execution,
    check_length,
    check_claims,
    check_published,
    check_decimals,
    check_figures,
    check_results,
]

#: A number with a decimal point, perhaps times a power of ten, perhaps in percent.
_DECIMAL = re.compile(
    r"(?<![\w.,/])(\d*\.\d+)"
    r"(?:[eE]([-+]?\d+)|\s*(?:\\times|\\cdot|×|·)\s*10\^?\{?([-+]?\d+)\}?)?"
    r"(\s*\\?%)?(?![.\d]*\d)"
)
#: What stands after these words is a place in a source or a version.
_PLACE = re.compile(
    r"(?i:\b(?:sections?|sec\.|figures?|figs?\.|tables?|theorems?|thms?\.?|eqs?\.?|equations?|chapters?|ch\."
    r"|propositions?|props?\.?|lemmas?|corollary|algorithms?|appendix|python|arxiv:?|version|issue)|§|doi:?)"
    r"\s*\(?\d[\d.]*\)?(?:(?:\s*(?:,|and|to|or|-|–)\s*)\(?\d[\d.]*\)?)*"
)
_NOT_PROSE = re.compile(r"```.*?```|`[^`\n]*`|\]\([^)]*\)|https?://\S+|<[^>\n]*>", re.DOTALL)
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")


def decimals(prose):
    """Decimals of a text as (text, size, half a unit of the last printed digit)."""
    for found in _DECIMAL.finditer(_PLACE.sub(" ", _NOT_PROSE.sub(" ", prose.translate(_SUPERSCRIPT)))):
        digits, power, percent = found[1], found[2] or found[3] or 0, found[4]
        scale = 10.0 ** int(power) * (0.01 if percent else 1)
        half_unit = 0.5 * 10.0 ** -len(digits.partition(".")[2]) * (1 + 1e-9)
        yield found[0].strip(), float(digits) * scale, half_unit * scale


def numbers(text):
    return [float(n) for n in re.findall(r"(?<![\w.])(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", text)]


def published_numbers(notebook):
    """The numbers of the entries whose ids the code names."""
    code = "\n".join(notebook.sources("code"))
    for id, entry in published.entries().items():
        if f'"{id}"' in code:
            value = entry.value
            listed = (
                value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
            )
            yield from (abs(number) for number in listed)


# --------------------------------------------------------------------------------------- over the collection


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_notebook(notebook, check):
    complaints = list(check(notebook))
    assert not complaints, f"{notebook.path.name}:\n" + "\n".join(complaints)


def test_each_published_number_is_met_in_one_notebook():
    met = Counter(id for notebook in NOTEBOOKS for id in set(notebook.published))
    assert [id for id, count in met.items() if count > 1] == []


def test_the_cell_that_installs_does_nothing_here_and_fetches_the_collection_elsewhere(tmp_path, monkeypatch):
    calls = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("subprocess.run", lambda command, check: calls.append(command))
    monkeypatch.setattr("builtins.input", lambda question: "https://example.org/collection")
    exec(INSTALL, {})
    assert not calls and Path.cwd() == tmp_path
    (tmp_path / "collection" / "notebooks").mkdir(parents=True)  # what the clone brings
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sys.path", [])
    exec(INSTALL, {})
    assert calls[0] == ["git", "clone", "--depth=1", "https://example.org/collection", "collection"]
    assert calls[1][-1] == "collection[learning,worst-cases]"
    assert Path.cwd() == tmp_path / "collection" / "notebooks"
    assert sys.path == [str(tmp_path / "collection")]


def test_numbers_follow_each_other():
    assert [notebook.number for notebook in NOTEBOOKS] == sorted({notebook.number for notebook in NOTEBOOKS})


def test_every_figure_has_its_notebook():
    known = {name for notebook in NOTEBOOKS for name in notebook.figures}
    drawn = [path for path in (ROOT / "figures").glob("*") if path.suffix not in (".md", ".html")]
    assert [path.name for path in drawn if path.stem not in known] == []
    assert sum(path.stat().st_size for path in drawn) < FIGURES_BYTES


def unread_results(root, among):
    known = {f"{name}.csv" for notebook in among for name in notebook.results}
    return [path.name for path in (root / "notebooks" / "results").glob("*") if path.name not in known]


def test_every_figure_is_shown_where_it_is_saved():
    for notebook in NOTEBOOKS:
        cells = notebook.content["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", ())]
        shown = sum("image/png" in output.get("data", {}) for output in outputs)
        assert shown >= len(notebook.figures), notebook.name


def test_every_result_is_read_by_a_notebook():
    assert unread_results(ROOT, NOTEBOOKS) == []


# ------------------------------------------------------------------------------------- the checks can fail


def markdown(text):
    return {"cell_type": "markdown", "id": "m", "metadata": {}, "source": text}


def code(text, output=None):
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    return {"cell_type": "code", "id": "c", "metadata": {}, "source": text, "outputs": outputs}


def model_notebook():
    """A notebook that keeps to everything."""
    cells = [
        markdown("# Roll a ball\n\n**You will** roll. **You will be able to** see. **You need** minutes."),
        code(INSTALL),
        markdown("## Notation used here\n\n`gamma`: momentum"),
        markdown(
            "## Momentum helps\n\nThe rate is 0.92 (section 4.6, arXiv 2307.11291), $1.5\\times10^{-3}$."
        ),
        code("assert abs(rate - 0.918) < 1e-2", "rate 0.0015 is here"),
        *[code("import momentum_lib\n" * 20 + f"x{i} = {i}") for i in range(12)],
        markdown("## Exercises"),
        code("exercises.check_rate(gamma)"),
        *[markdown(f"## {heading}") for heading in TAIL[1:]],
    ]
    for number, cell in enumerate((c for c in cells if c["cell_type"] == "code"), 1):
        cell["execution_count"] = number
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def complaints_about(content, tmp_path, stem="05_roll_a_ball"):
    path = tmp_path / f"{stem}.ipynb"
    path.write_text(json.dumps(content))
    return "\n".join(complaint for check in CHECKS for complaint in check(Notebook(path)))


def test_the_model_notebook_keeps_to_everything(tmp_path):
    assert complaints_about(model_notebook(), tmp_path) == ""


def source(cell, text):
    return lambda content: content["cells"][cell].update(source=text)


def shows(text):
    return lambda content: content["cells"][4]["outputs"][0].update(text=f"rate 0.0015 {text}")


@pytest.mark.parametrize(
    "break_it, complaint",
    [
        (source(0, "Roll a ball"), "only title"),
        (source(2, "# Another title"), "only title"),
        (source(1, "import momentum_lib"), "installs the collection elsewhere"),
        (source(0, "# Roll a ball\n\n**You will** roll. **You need** minutes."), "You will be able to"),
        (lambda content: content["cells"].pop(), "ends with the headings"),
        (lambda content: content["cells"].__delitem__(slice(6, 12)), "12 to 31 code cells, not 8"),
        (lambda content: content["cells"][4].update(execution_count=7), "executed in order"),
        (lambda content: content["cells"][4].update(execution_count=None), "executed in order"),
        (lambda content: content["cells"][4]["metadata"].update(execution={}), "carries metadata"),
        (lambda content: content["cells"][4]["outputs"].append({"output_type": "error"}), "shows an error"),
        (shows(" 50%|#####     | 1/2"), "progress bar"),
        (shows("/home/ann/x"), "names /home/ann/x"),
        (shows("<function f at 0x7f00>"), "shows an address"),
        (lambda content: content["cells"][4].pop("id"), "has no id"),
        (source(5, "x = 1\n" * 16), "16 lines of code; at most 15"),
        (source(4, "rate = 0.918"), "section 'Momentum helps' asserts nothing"),
        (source(17 + 1, "x = 1"), "has an exercise"),
        (source(5, "from momentum_lib.published import check\ncheck('no/such', 1)"), "not in published.toml"),
        (source(3, "## Momentum helps\n\nThe rate is 0.93."), "0.93 in 'Momentum helps'"),
        (source(3, "## Momentum helps\n\nThe rate is .91756."), ".91756 in 'Momentum helps'"),
        (source(2, "## Notation used here\n\nabout 0.918"), "0.918 in 'Notation used here'"),
        (source(3, "## Momentum helps\n\nThe cost is 9.3 %."), "9.3 % in 'Momentum helps'"),
        (lambda content: content["cells"][5].update(source="'" + "x" * BYTES + "'"), "stays under 1 MB"),
        (source(5, "from momentum_lib import save\nsave(fig, 'no-such', data)"), "no-such.png is missing"),
        (source(5, "from momentum_lib.learning import measured\nmeasured('no', [])"), "no.csv is missing"),
    ],
)
def test_each_check_complains(tmp_path, break_it, complaint):
    content = copy.deepcopy(model_notebook())
    break_it(content)
    assert re.search(complaint, complaints_about(content, tmp_path))


def test_large_and_unread_results_are_seen(tmp_path, monkeypatch):
    content = model_notebook()
    content["cells"][5]["source"] = "from momentum_lib.learning import measured\nmeasured('a-sweep', trials)"
    (results := tmp_path / "notebooks" / "results").mkdir(parents=True)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (results / "a-sweep.csv").write_text("#\n" + "0" * RESULT_BYTES)
    (results / "b-sweep.csv").write_text("#\n")
    assert complaints_about(content, tmp_path) == "results/a-sweep.csv stays under 300 kB; it takes 300"
    assert unread_results(tmp_path, [Notebook(tmp_path / "05_roll_a_ball.ipynb")]) == ["b-sweep.csv"]
    (results / "a-sweep.csv").write_text("#\n")
    assert complaints_about(content, tmp_path) == ""


def test_prose_decimals_are_read_as_printed():
    prose = (
        "Rate .818, **0.67** of $\\rho=1.20$, 2.5·10⁻³, 9.3%, "
        "`0.1`, eqs. (4.1) and 4.2, [x](a/1.5), Python 3.11."
    )
    assert [(shown, pytest.approx(size)) for shown, size, _ in decimals(prose)] == [
        (".818", 0.818),
        ("0.67", 0.67),
        ("1.20", 1.2),
        ("2.5·10-3", 0.0025),
        ("9.3%", 0.093),
    ]


def test_a_published_number_may_stand_where_its_id_is_read(tmp_path):
    content = model_notebook()
    content["cells"][2]["source"] += ", the start of the cycle is 3.3"
    assert "3.3 in" in complaints_about(content, tmp_path)
    content["cells"][5]["source"] = 'published.value("lessard-2016/start")'
    assert complaints_about(content, tmp_path) == ""
