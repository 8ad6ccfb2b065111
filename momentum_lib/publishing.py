"""The collection as a book: an HTML site from the committed notebooks, one sheet to print, one archive.

What makes the pages lies in ``book/`` and runs inside Sphinx, in a process of its own. No notebook is
executed and no network is asked. What did not change is not built again.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

__all__ = ["archive", "build", "chromium", "print_sheet"]

#: What Sphinx is told to load, and what finds the formulas and the references.
_NEEDS: Final = ("sphinx", "myst_nb", "sphinx_book_theme", "pybtex", "sphinx-mathjax-offline")

#: What stands in the archive beside the site: the notebooks, and what they need to run.
_BESIDE: Final = ("notebooks", "figures/*.png", "momentum_lib", "pyproject.toml", "README.md", "LICENSE",
                  "CITATION.cff", "references.bib")  # fmt: skip

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")


def build(root: Path, folder: Path) -> Path:
    """Build the site below a folder, and give the folder of its pages.

    Raises
    ------
    ModuleNotFoundError
        The extra ``book`` is not installed.
    ValueError
        The build met an error or a warning; Sphinx has told it.
    """
    for name in _NEEDS:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"There is no {name}.", name=name)
    site = folder / "site"
    for made in (folder / "source", site):
        made.mkdir(parents=True, exist_ok=True)
    how = ["--fail-on-warning", "--keep-going", "--quiet", "--jobs", "auto"]
    where = ["-c", str(root / "book"), "-d", str(folder / "doctrees"), str(folder / "source"), str(site)]
    if subprocess.run([sys.executable, "-m", "sphinx", *how, *where], cwd=root).returncode:
        raise ValueError("the book was not built without warnings; each is told above.")
    return site


def chromium() -> str | None:
    """Where this machine has a Chromium, or one of its kin."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def print_sheet(site: Path) -> str:
    """Print the site's sheet into a PDF beside it; tells where, or why not."""
    if (browser := chromium()) is None:
        return (
            "The sheet was not printed: there is no Chromium; open sheet.html and print it from your browser."
        )
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
                   "--virtual-time-budget=30000", f"--user-data-dir={profile}"]  # fmt: skip
        target = site / "sheet.pdf"
        done = subprocess.run(
            [*command, f"--print-to-pdf={target}", (site / "sheet.html").as_uri()],
            capture_output=True,
            text=True,
        )
    if done.returncode or not target.is_file():
        return f"The sheet was not printed: {Path(browser).name} ended with {done.returncode}."
    return f"The sheet to print: {target}"


def archive(root: Path, site: Path) -> Path:
    """One file with the site and the notebooks, and with what these need to run."""
    target = site.with_name("momentum-book.zip")
    part = target.with_name(f".{target.name}")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
        for page in sorted(site.rglob("*")):
            if page.is_file():
                file.write(page, Path("momentum-book", "site", page.relative_to(site)))
        for pattern in _BESIDE:
            for found in sorted(root.glob(pattern)):
                for path in [found] if found.is_file() else sorted(found.rglob("*")):
                    inside = path.relative_to(root)
                    if path.is_file() and not any(re.match(r"\.|__pycache__", part) for part in inside.parts):
                        file.write(path, Path("momentum-book", inside))
    part.replace(target)
    return target
