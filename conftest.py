"""How the tests run the notebooks: led away from what they test, one thread each, requirements respected.

Kernels inherit this process's environment. Figures go to a folder of their own and their numbers are
compared with the committed ones, so a test never overwrites what it tests.
"""

import atexit
import contextlib
import functools
import importlib.util
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from momentum_lib import publishing
from momentum_lib.collection import Execution, Notebook

read = functools.cache(Notebook)


def pytest_addoption(parser):
    parser.addoption("--whole", action="store_true", help="run what the gate only samples, too (mark: whole)")


def pytest_configure(config):
    config.addinivalue_line("markers", "whole: left to `pytest --whole`; the gate runs a sample")
    drawn = tempfile.mkdtemp(prefix="momentum-figures-")
    atexit.register(shutil.rmtree, drawn, ignore_errors=True)
    root = Path(__file__).parent
    os.environ.update(Execution(figures=drawn, figures_reference=str(root / "figures")).variables)
    # What `momentum reproduce` has compiled is read. Nothing is added: another process might see half of it.
    compiled = Path(drawn, "compiled")
    for kept in (root / ".momentum" / "compiled").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # a run puts its own there
            shutil.copytree(kept, compiled, dirs_exist_ok=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(compiled)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "1e9"
    os.environ["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"  # their place is no part of a program


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven by Playwright; where there is none, what needs it is skipped by name."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (group dev)")
    if (path := publishing.chromium()) is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    with (
        playwright.sync_playwright() as run,
        run.chromium.launch(executable_path=path, args=["--no-sandbox"]) as made,
    ):
        yield made


def missing(item):
    """The libraries that a notebook, or a docstring's example, needs and that are not installed."""
    if item.path.suffix == ".ipynb":
        return read(item.path).missing
    if isinstance(item, pytest.DoctestItem):
        text = "".join(example.source for example in item.dtest.examples)
        return [
            name for name in re.findall(r"^import (\w+)", text, re.M) if not importlib.util.find_spec(name)
        ]
    return ()


def pytest_collection_modifyitems(config, items):
    """Skip, by name, what needs a library that is not installed; leave out what is on demand."""
    if not config.getoption("--whole"):
        left = [item for item in items if item.get_closest_marker("whole")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
    for item in items:
        if names := missing(item):
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(names)}"))
