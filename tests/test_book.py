"""The book, built once and looked at: from its files, and in a browser where there is one."""

import importlib.util
import posixpath
import re
import shutil
import sys
import types
import zipfile
from collections import deque
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import momentum_lib
from momentum_lib import cli, publishing
from momentum_lib.collection import notebooks

ROOT = Path(__file__).resolve().parent.parent
KNOWN = notebooks(ROOT)
MISSING = [name for name in publishing._NEEDS if importlib.util.find_spec(name) is None]
#: Pages that Sphinx makes for itself; they are reached by the search field, or by nobody.
OF_SPHINX = {"search.html", "genindex.html", "py-modindex.html"}


class Page(HTMLParser):
    """What a page points to, by tag; its ids; its pictures."""

    #: Attributes a browser fetches by itself, and those a reader follows.
    FETCHED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}

    def __init__(self, file):
        super().__init__()
        self.fetched, self.followed, self.ids, self.pictures, self.hidden = [], [], set(), [], 0
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        if "id" in told:
            self.ids.add(told["id"])
        for name, value in attrs:
            if (tag, name) in self.FETCHED and told.get("rel") not in ("next", "prev", "search", "index"):
                self.fetched.append(value)
        if tag == "a" and told.get("href"):
            self.followed.append(told["href"])
        if tag == "img":
            self.pictures.append(told)
        self.hidden += tag == "details" and "hide" in (told.get("class") or "").split()


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    if MISSING:
        pytest.skip(f"needs {', '.join(MISSING)} (extra book)")
    return publishing.build(ROOT, tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session")
def pages(site):
    files = [f for f in site.rglob("*.html") if not {"_static", "explore", "_downloads"} & {*f.parts}]
    return {file.relative_to(site).as_posix(): Page(file) for file in files}


def places(page, links):
    """Files of the site, with the place in them, that links of a page lead to."""
    for link in links:
        parts = urlsplit(link)
        if not parts.scheme and not parts.netloc:
            folder = Path(page).parent
            path = Path(page) if not parts.path else folder / unquote(parts.path)
            yield Path(*Path(shorten(path)).parts).as_posix(), unquote(parts.fragment)


def shorten(path):
    out = []
    for part in path.parts:
        out = out[:-1] if part == ".." else [*out, part]
    return "/".join(out)


def test_there_is_a_page_for_everything(pages):
    expected = {"index", "claims", "gallery", "glossary", "notation", "sheet", "references", "CONTRIBUTING"}
    expected |= {"past_one_machine"}
    expected |= {f"notebooks/{notebook.stem}" for notebook in KNOWN}
    expected |= {f"notebooks/{file.stem}" for file in (ROOT / "notebooks").glob("*.md")}
    rules = [name for name, r in momentum_lib.RULES.items() if r.__module__ == "momentum_lib.rules"]
    expected |= {f"rules/{name}" for name in (*rules, *momentum_lib.NONLINEAR, "clipped", "index")}
    assert expected <= {name.removesuffix(".html") for name in pages}


def test_every_page_is_reached_from_the_front_page(pages):
    seen, todo = {"index.html"}, deque(["index.html"])
    while todo:
        page = todo.popleft()
        for target, _ in places(page, pages[page].followed):
            if target in pages and target not in seen:
                seen.add(target)
                todo.append(target)
    assert not set(pages) - seen - OF_SPHINX


def test_every_local_link_and_picture_leads_somewhere(site, pages):
    dead = set()
    for name, page in pages.items():
        for target, place in places(name, [*page.followed, *page.fetched]):
            if not (site / target).is_file():
                dead.add((name, target))
            elif place and target in pages and place not in pages[target].ids:
                dead.add((name, f"{target}#{place}"))
    assert not dead


def test_nothing_is_fetched_from_outside(site, pages):
    outside = {(name, link) for name, page in pages.items() for link in page.fetched if urlsplit(link).netloc}
    sheets = [file for file in site.rglob("*.css") if "mathjax" not in file.parts]
    outside |= {
        (f.name, u) for f in sheets for u in re.findall(r"url\(['\"]?(https?:[^)]+)", f.read_text("utf-8"))
    }
    assert len(sheets) > 3 and not outside


def test_every_picture_is_told_in_words_and_has_its_size(pages):
    pictures = [(name, picture) for name, page in pages.items() for picture in page.pictures]
    assert len(pictures) > 150
    assert not [(name, p["src"]) for name, p in pictures if len(p.get("alt") or "") < 15]
    pictures = [(name, p) for name, p in pictures if not p["src"].startswith("data:")]  # printed by a cell
    assert not [(name, p["src"]) for name, p in pictures if not p.get("height")]
    hasty = {name for name, p in pictures if p.get("loading") != "lazy"}
    assert hasty == {"sheet.html"}  # a printer does not scroll


def test_every_public_name_has_an_entry(site):
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        known = {name for kind in InventoryFile.load(file, "", posixpath.join).values() for name in kind}
    learning = __import__("momentum_lib.learning", fromlist=["__all__"]).__all__
    wanted = {f"momentum_lib.{name}" for name in momentum_lib.__all__}
    assert not (wanted | {f"momentum_lib.learning.{name}" for name in learning}) - known


def test_what_is_public_and_undocumented_is_refused(monkeypatch):
    if MISSING:
        pytest.skip(f"needs {', '.join(MISSING)} (extra book)")
    monkeypatch.syspath_prepend(ROOT / "book")
    reference = __import__("reference")
    bare = types.ModuleType("bare")
    bare.told, bare.silent = (lambda: None), (lambda: None)
    bare.told.__doc__ = "Gives nothing."
    monkeypatch.setitem(sys.modules, "bare", bare)
    room = reference.Room("bare", "", "bare", ["told"])
    assert reference.summary(room, "told") == "Gives nothing."
    with pytest.raises(ValueError, match=r"bare\.silent is public and has no docstring"):
        reference.summary(room, "silent")


@pytest.mark.parametrize("notebook", KNOWN, ids=lambda notebook: notebook.number)
def test_a_notebook_is_numbered_folded_linked_and_offered_as_it_is(site, pages, notebook):
    page = pages[f"notebooks/{notebook.stem}.html"]
    text = (site / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
    assert f"<h1>{notebook.number} · " in text
    folded = [c for c in notebook.content["cells"] if "hide-cell" in c["metadata"].get("tags", ())]
    assert page.hidden == len(folded) > 0
    assert not re.search(r"<details[^>]*\bhide\b[^>]*\bopen\b", text)
    offered = site / "_sources" / "notebooks" / notebook.path.name
    assert offered.read_bytes() == notebook.path.read_bytes()
    assert any("_sources" in link for link in page.followed)
    followed = {target for target, _ in places(f"notebooks/{notebook.stem}.html", page.followed)}
    assert any(target.startswith("rules/") for target in followed) and "references.html" in followed
    assert any(target.startswith("api/") for target in followed)


def test_a_rule_leads_to_its_notebooks_its_relatives_and_its_source(pages):
    followed = {target for target, _ in places("rules/ema.html", pages["rules/ema.html"].followed)}
    assert {"rules/heavy_ball.html", "references.html", "explore/ema.html"} <= followed
    assert any(target.startswith("notebooks/") for target in followed)


def test_a_second_build_writes_no_page_anew(site):
    before = {file: file.stat().st_mtime_ns for file in site.rglob("*.html")}
    publishing.build(ROOT, site.parent)
    anew = {
        f.name for f, then in before.items() if f.stat().st_mtime_ns != then and f.parent.name != "explore"
    }
    assert anew <= OF_SPHINX


# The command.


def test_the_command_without_its_extra_says_one_sentence(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "myst_nb" else find(n, *a))
    assert cli.main(["book"]) == 2
    told = capsys.readouterr().err
    assert "myst_nb" in told and "--extra book" in told and "'.[book]'" in told and told.count("\n") == 1


def test_the_command_builds_prints_and_packs(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(publishing, "build", lambda root, folder: tmp_path)
    monkeypatch.setattr(publishing, "print_sheet", lambda site: "printed")
    monkeypatch.setattr(publishing, "archive", lambda root, site: tmp_path / "all.zip")
    assert cli.main(["book"]) == 0
    assert "printed" in (told := capsys.readouterr().out) and "zip" not in told
    assert cli.main(["book", "--zip"]) == 0
    assert "all.zip" in capsys.readouterr().out


def test_a_build_with_a_warning_is_refused(monkeypatch, tmp_path):
    if MISSING:
        pytest.skip(f"needs {', '.join(MISSING)} (extra book)")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "conf.py").write_text("root_doc = 'index'\nextensions = ['myst_nb']\n")
    (tmp_path / "out" / "source").mkdir(parents=True)
    page = tmp_path / "out" / "source" / "index.md"
    page.write_text("# A page\n\n[nowhere](nowhere.md)\n")
    with pytest.raises(ValueError, match="warnings"):
        publishing.build(tmp_path, tmp_path / "out")
    page.write_text("# A page\n")
    assert (publishing.build(tmp_path, tmp_path / "out") / "index.html").is_file()


def test_the_archive_holds_site_and_notebooks_and_what_they_need(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<p>")
    (tmp_path / "site" / ".buildinfo").write_text("")
    made = publishing.archive(ROOT, tmp_path / "site")
    names = {name.removeprefix("momentum-book/") for name in zipfile.ZipFile(made).namelist()}
    wanted = {"site/index.html", "pyproject.toml", "momentum_lib/__init__.pyi", "references.bib"}
    wanted |= {f"notebooks/{notebook.path.name}" for notebook in KNOWN}
    assert wanted <= names
    assert not [
        n for n in names if "__pycache__" in n or (n.split("/")[-1].startswith(".") and n[:4] != "site")
    ]


# In a browser (conftest.py), with the network off.

KINDS = (
    "index", "notebooks/04_draw_the_stability_region", "notebooks/06_damp_the_oscillation", "rules/index",
    "rules/heavy_ball", "rules/pid", "rules/adam", "claims", "gallery", "glossary", "notation", "sheet",
    "references", "api/index", "api/problems", "CONTRIBUTING", "search",
)  # fmt: skip


def opened(browser, site, page, *, width=1280, scheme="light"):
    """A page as a reader without network sees it; what it asks for, and what it complains of."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, reduced_motion="reduce"
    )
    tab = context.new_page()
    tab.told = []
    tab.on("console", lambda m: tab.told.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: tab.told.append(str(error)))
    schemes = ("file:", "data:", "blob:", "about:")
    tab.on("request", lambda r: None if r.url.startswith(schemes) else tab.told.append(f"asks for {r.url}"))
    tab.goto((site / f"{page}.html").as_uri())
    if "tex-svg" in tab.content():
        tab.wait_for_function("window.MathJax && MathJax.startup && MathJax.startup.promise", timeout=60_000)
        tab.evaluate("MathJax.startup.promise")
    return tab


@pytest.mark.parametrize("page", KINDS)
def test_a_page_stands_alone_fits_a_phone_and_is_readable_to_all(browser, site, page):
    from axe_playwright_python.sync_playwright import Axe

    tab = opened(browser, site, page)
    formulas = tab.locator(".math").count()
    assert tab.locator("mjx-container").count() >= formulas
    assert not tab.locator("mjx-merror, [data-mjx-error]").count()
    assert "NaN" not in tab.locator("main").inner_text()
    found = Axe().run(tab, options={"resultTypes": ["violations"], "preload": False}).response["violations"]
    serious = [
        (violation["id"], node["target"][0])
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
        # Ours is the article. Around it the theme's navigation folds under summaries without a name.
        if tab.evaluate("target => !!document.querySelector(target)?.closest('article')", node["target"][0])
    ]
    assert not serious
    assert not tab.told
    tab.set_viewport_size({"width": 390, "height": 844})
    across = tab.evaluate("document.documentElement.scrollWidth")
    assert across <= 390, tab.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 391)"
        ".slice(0, 5).map(e => e.outerHTML.slice(0, 120))"
    )
    tab.context.close()


def test_the_dark_page_is_dark_and_the_light_page_is_light(browser, site):
    shade = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    for scheme, dark in (("dark", True), ("light", False)):
        tab = opened(browser, site, "rules/heavy_ball", scheme=scheme)
        assert (max(tab.evaluate(shade)) < 80) is dark
        tab.context.close()


@pytest.mark.parametrize("notebook", KNOWN, ids=lambda notebook: notebook.number)
def test_a_cell_is_read_without_a_scroll_bar(browser, site, notebook):
    tab = browser.new_page(viewport={"width": 1280, "height": 900}, java_script_enabled=False)
    tab.goto((site / "notebooks" / f"{notebook.stem}.html").as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    wide = tab.locator(".cell_input pre").evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText.slice(0, 80))"
    )
    assert not wide
    tab.close()


def test_the_search_finds(browser, site):
    tab = opened(browser, site, "search")
    tab.goto((site / "search.html").as_uri() + "?q=overshoot")
    tab.wait_for_selector("#search-results li a", timeout=30_000)
    assert tab.locator("#search-results li").count() > 3
    tab.context.close()


def test_the_explorer_of_a_rule_runs_in_its_page(browser, site):
    tab = opened(browser, site, "rules/nesterov")
    tab.locator("iframe.explorer").scroll_into_view_if_needed()
    frame = tab.frame_locator("iframe.explorer")
    frame.locator("svg, canvas").first.wait_for(timeout=30_000)
    assert not tab.told
    tab.context.close()


def test_the_sheet_is_two_pages_of_paper(browser, site):
    assert "sheet.pdf" in publishing.print_sheet(site)
    pdf = (site / "sheet.pdf").read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) in (1, 2)


def test_where_there_is_no_chromium_the_sheet_says_how_to_print_it(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    told = publishing.print_sheet(tmp_path)
    assert "no Chromium" in told and "sheet.html" in told and not (tmp_path / "sheet.pdf").exists()
