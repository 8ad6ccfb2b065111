"""How the tests run the notebooks: led away from what they test, one thread each, requirements respected.

Kernels inherit this process's environment. Figures go to a folder of their own and their numbers are
compared with the committed ones, so a test never overwrites what it tests.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from momentum_lib.collection import KERNEL_ENVIRONMENT, Notebook

ROOT = Path(__file__).parent


def pytest_configure():
    drawn = tempfile.mkdtemp(prefix="momentum-figures-")
    atexit.register(shutil.rmtree, drawn, ignore_errors=True)
    os.environ.update(
        KERNEL_ENVIRONMENT,
        MOMENTUM_FIGURES=drawn,
        MOMENTUM_FIGURES_REFERENCE=str(ROOT / "figures"),
    )
    of_a_run = ("MOMENTUM_RECORDS", "MOMENTUM_RESULTS", "MOMENTUM_PROGRESS")
    for name in ("MOMENTUM_FULL", "MOMENTUM_NOTEBOOK", *of_a_run):
        os.environ.pop(name, None)


def pytest_collection_modifyitems(items):
    """Skip, by name, what needs a library that is not installed."""
    missing = {}
    for item in items:
        if item.path.suffix == ".ipynb":
            if item.path not in missing:
                missing[item.path] = Notebook(item.path).missing
            if missing[item.path]:
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing[item.path])}"))
