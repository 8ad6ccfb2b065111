"""JupyterLab as the README starts it, in a real browser: notebook 00 shows its picture, saves and runs."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 240_000  # of waiting, in milliseconds: ends what hangs, tests no speed


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """A copy, for what is saved is changed."""
    root = tmp_path_factory.mktemp("collection")
    for part in ("notebooks", "figures"):
        shutil.copytree(ROOT / part, root / part)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


@pytest.fixture(scope="module")
def lab(browser, collection, tmp_path_factory):
    """The page that `momentum lab` opens, and what its console said."""
    log = tmp_path_factory.mktemp("lab") / "log"
    home = dict.fromkeys(("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "HOME"), str(log.parent))
    command = [sys.executable, "-m", "momentum_lib.cli", "lab", "--no-browser", "--port=0", "--allow-root"]
    with log.open("w") as told:
        server = subprocess.Popen(command, cwd=collection / "notebooks", stderr=told, env=os.environ | home)
    try:
        while not (found := re.search(r"http://localhost:\d+/lab\S+", log.read_text())):
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
        page = browser.new_page()
        page.set_default_timeout(SECONDS)
        said = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(found[0])
        page.wait_for_selector(".jp-Notebook")
        page.get_by_text("| Idle").wait_for()
        yield page, said
    finally:
        server.terminate()
        server.wait()


def save(page):
    """Save by the keyboard, and wait until the server has written the file."""
    page.locator(".jp-Notebook .jp-Cell:visible").first.click()  # the first may be scrolled away, and gone
    with page.expect_response(lambda r: r.request.method == "PUT" and "/api/contents/" in r.url):
        page.keyboard.press("Control+s")


def test_the_first_notebook_is_open_with_its_picture(lab):
    page, _ = lab
    assert page.locator(".jp-Notebook h1").first.inner_text().startswith("Start here")
    picture = page.locator(".jp-RenderedMarkdown img").first
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 500


def test_saving_an_untouched_notebook_changes_nothing(lab, collection):
    page, _ = lab
    file = collection / "notebooks" / "00_start_here.ipynb"
    save(page)
    assert file.read_bytes() == (ROOT / "notebooks" / file.name).read_bytes()


def test_it_runs_from_top_to_bottom_and_the_console_stays_clean(lab, collection):
    page, said = lab
    file = collection / "notebooks" / "00_start_here.ipynb"
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.get_by_text("| Busy").wait_for()  # every cell is now queued, without a number
    counts = [None]
    while None in counts:
        page.wait_for_timeout(1000)
        save(page)
        cells = json.loads(file.read_text("utf-8"))["cells"]
        counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert not [output for cell in cells for output in cell.get("outputs", ()) if "ename" in output]
    assert not said
