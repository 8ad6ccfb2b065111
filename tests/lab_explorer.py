"""The explorer as a widget in JupyterLab and Notebook 7, on demand: `pytest tests/lab_explorer.py`.

A server, a kernel and two front ends take half a minute, so this file is not collected with the others.
"""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

pytest.importorskip("anywidget")

SOURCE = "from momentum_lib import explore, heavy_ball\npage = explore(heavy_ball)\npage"
#: What the front ends themselves complain of, without an explorer too.
THEIRS = re.compile(r"favicon|extension|deprecat|preload|source ?map|nbconvert|404|plugin|LSP|settings", re.I)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server over a folder with one notebook, and its token."""
    folder = tmp_path_factory.mktemp("lab")
    cell = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": SOURCE,
    }
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "play.ipynb").write_text(json.dumps(notebook))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}"]
    command += [
        f"--IdentityProvider.token={token}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}",
    ]
    reader = {name: value for name, value in os.environ.items() if not name.startswith("MOMENTUM_")}
    process = subprocess.Popen(
        command, cwd=folder, env=reader, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        yield address, token
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("door", ["lab/tree", "notebooks"], ids=["JupyterLab", "Notebook 7"])
def test_the_widget_shows_and_is_moved(browser, server, door):
    address, token = server
    complaints = []
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(120_000)
    page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}/{door}/play.ipynb?token={token}")
    page.locator(".jp-Cell .cm-content").first.click()
    page.wait_for_selector("[data-status=idle]", state="attached")
    page.keyboard.press("Control+Enter")
    meaning = page.locator(".explorer .meaning:not(:empty)")
    meaning.wait_for()
    eta = page.get_by_role("slider", name="eta", exact=True)
    before = float(eta.input_value())
    for _ in range(3):
        eta.press("ArrowRight")
    assert float(eta.input_value()) == before + 3 and eta.evaluate("one => one === document.activeElement")
    told = meaning.inner_text()
    knob = page.locator(".explorer .map .knob")
    box = knob.bounding_box()
    page.mouse.move(box["x"] + 22, box["y"] + 22)
    page.mouse.down()
    page.mouse.move(box["x"] + 122, box["y"] + 62, steps=3)
    page.mouse.up()
    page.wait_for_function(
        "told => document.querySelector('.explorer .meaning').textContent !== told", arg=told
    )
    assert [text for text in complaints if not THEIRS.search(text)] == []
