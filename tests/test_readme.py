"""The front door tells the truth: its example runs, its links lead somewhere, its citation is ours."""

import doctest
import re
import tomllib
import unicodedata
from pathlib import Path

import pytest

import momentum_lib
import momentum_lib.learning
from momentum_lib.collection import notebooks

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
GATE = (ROOT / ".ci/run").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_example_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    example = doctest.DocTestParser().get_doctest("".join(blocks), {}, "README.md", "README.md", None)
    assert len(example.examples) >= 4
    assert not doctest.DocTestRunner(verbose=False).run(example).failed


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_links_and_paths_lead_somewhere(text):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    paths = re.findall(r"`((?:momentum_lib|notebooks|figures|tests)/[\w./-]*)`", text)
    assert not {target for target in (*links, *paths) if not (ROOT / target).exists()}


def test_reading_map_links_every_notebook():
    section = README.split("## The reading map")[1].split("\n## ")[0]
    names = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    missing = {name for name in names if f"(notebooks/{name})" not in section}
    assert not missing, "link each in the README's reading map, as [Title](notebooks/NAME.ipynb)"


def test_the_index_names_public_functions():
    section = README.split("## From question to function")[1].split("\n## ")[0]
    called = [row.split(" | ")[1] for row in section.splitlines() if row.startswith("| ") and "](" in row]
    names = {name for cell in called for name in re.findall(r"`(\w+(?:\.\w+)?)", cell)}
    assert len(called) > 15 and len(names) > 30
    assert not [name for name in names if not public(name)]


def public(name):
    owner, _, attribute = name.partition(".")
    places = (momentum_lib, momentum_lib.learning)
    found = next((getattr(place, owner) for place in places if owner in dir(place)), None)
    return found is not None and (not attribute or hasattr(found, attribute))


def test_the_page_to_play_with_is_what_the_library_makes_now():
    page = (ROOT / "figures" / "explorer.html").read_text(encoding="utf-8")
    assert page == momentum_lib.explore((momentum_lib.heavy_ball, momentum_lib.nesterov)).html


def test_gate_runs_the_commands_of_the_readme_and_then_what_needs_a_framework():
    steps = re.findall(r"^step (.*?)(?: +#.*)?$", GATE.replace("\\\n", ""), flags=re.MULTILINE)
    assert re.findall(r"^(uv run .*?) +# .*", README, flags=re.MULTILINE)[:2] == [
        "uv run momentum reproduce",
        "uv run pytest",
    ]
    assert steps[:2] == ["uv run momentum reproduce --check", "uv run pytest"]
    assert steps[-2] == "install_frameworks"
    tests = {p for p in (ROOT / "tests").glob("test_*.py") if "(extra frameworks)" in p.read_text("utf-8")}
    tests |= {n.path for n in notebooks(ROOT) if {"torch", "keras", "tensorflow"} & {*n.requires}}
    tests -= {Path(__file__)}
    needy = {path.relative_to(ROOT).as_posix() for path in tests}
    assert len(needy) > 3 and not needy - {*steps[-1].split()}, "name each in the last step of .ci/run"


def test_citation_is_that_of_the_package():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    fields = dict(re.findall(r"^([\w-]+): (.+)$", citation, flags=re.MULTILINE))
    assert fields["version"] == PROJECT["version"]
    assert fields["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "type"} <= set(fields)


def test_references_are_whole():
    text = (ROOT / "references.bib").read_text(encoding="utf-8")
    entries = re.findall(r"^@(\w+)\{([\w-]+),\n(.*?)^\}", text, flags=re.MULTILINE | re.DOTALL)
    keys = [key for _, key, _ in entries]
    assert len(keys) == len(set(keys)) == text.count("\n@") > 50
    place = {
        "article": {"journal"},
        "inproceedings": {"booktitle"},
        "incollection": {"booktitle", "publisher"},
        "book": {"publisher"},
        "techreport": {"institution", "number"},
        "misc": set(),
    }
    for kind, key, body in entries:
        fields = dict(re.findall(r"^ +(\w+) += \{(.*)\},?$", body, flags=re.MULTILINE))
        assert {"author", "title", "year"} | place[kind] <= set(fields), key
        assert kind != "misc" or {"eprint", "url"} & set(fields), key
        assert key.endswith(fields["year"]), key
        assert body.count("{") == body.count("}"), key


#: "Goyal et al. 2017", "Su, Boyd and Candès (2016)", over the end of a line too; initials come before names.
NAME = r"(?:(?:[A-Z]\. )*(?:(?:Van|Le) )?[A-Z][\w'-]+)"
YEAR = r"((?:18|19|20)\d\d)\b(?!-)"
CITED = re.compile(
    rf"(?<![\w-])(?!(?:After|In) )({NAME}(?:(?:,? and|,) {NAME})*)(?: et al\.| and others)?,? \(?{YEAR}"
)


def plain(text):
    """Without accents, markup and ends of lines."""
    text = unicodedata.normalize("NFKD", text.replace("’", "'"))
    return re.sub(r"\s+", " ", "".join(c for c in text if not unicodedata.combining(c) and c not in "*_`"))


def cited(text):
    """Family names and year of each work that a text names."""
    found = {(re.sub(r"\b[A-Z]\. ", "", names), year) for names, year in CITED.findall(plain(text))}
    return {(tuple(re.split(r",? and |, ", names)), year) for names, year in found}


def authors_and_years():
    """Family names, in order, and year of each entry of references.bib."""
    text = (ROOT / "references.bib").read_text(encoding="utf-8")
    for author, year in re.findall(r"author += \{(.*)\},\n(?:.*\n)*? +year += \{(\d+)\}", text):
        people = re.sub(r"\\\W|[{}]", "", author).split(" and ")
        yield [person.partition(",")[0] for person in people], year


def test_works_are_found_as_texts_name_them():
    text = "**Su, Boyd and Candès 2016**, thm 3; Van Scoy\nand others (2018); B. O’Donoghue, E. Candès 2015"
    assert cited(text) == {
        (("Su", "Boyd", "Candes"), "2016"),
        (("Van Scoy",), "2018"),
        (("O'Donoghue", "Candes"), "2015"),
    }


TEXTS = {notebook.stem: "\n\n".join(notebook.sources("markdown")) for notebook in notebooks(ROOT)}
TEXTS |= {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in ("notebooks/*.md", "momentum_lib/**/*.py", "momentum_lib/*.toml")
    for path in sorted(ROOT.glob(folder))
}


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if cited(text)])
def test_every_work_cited_is_in_the_references(name):
    known = [*authors_and_years()]

    def stands_for(names, year, authors, published):
        return year == published and names[0] == authors[0] and {*names} <= {*authors}

    missing = [
        f"{', '.join(names)} {year}"
        for names, year in cited(TEXTS[name])
        if not any(stands_for(names, year, *entry) for entry in known)
    ]
    assert not missing, "append them to references.bib"
