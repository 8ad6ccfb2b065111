"""Executing notebooks: fresh kernels, whole files or none, and a memory of what is up to date.

A notebook runs with its figures, results and records led into a folder of the run, below the ignored
``.momentum/``. Only when it has succeeded are its results, its figures and then itself moved into place,
each by one rename, and its state is noted last: whatever a kill interrupts, every file is whole, and the
next run takes up what is not noted. The trainings of a long campaign are kept one by one besides, in
``.momentum/trainings``, so that a full run never does one twice.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from momentum_lib.collection import (
    Execution,
    Notebook,
    NotebookError,
    machine_path,
    output_texts,
    write_whole,
)

__all__ = ["FIGURE_KINDS", "Outcome", "execute", "normalize", "tidy_before_saving"]

#: Seconds one cell may take; a full run has no limit.
CELL_LIMIT: Final = 600

FIGURE_KINDS: Final = ("png", "svg", "csv")

#: Seconds between two looks at how far a campaign is.
LOOK: Final = 1.0

Progress = Callable[[Notebook, int, str], None]


@dataclass
class Outcome:
    """What became of one notebook.

    `status` is ``"done"``, ``"current"`` (nothing to do), ``"skipped"`` (a requirement is missing) or
    ``"failed"``; `records` are those of ``published.check``.
    """

    notebook: Notebook
    status: str
    message: str = ""
    seconds: float = 0.0
    records: list[dict[str, Any]] = field(default_factory=list)


def execute(
    notebooks: Sequence[Notebook],
    root: Path,
    *,
    check: bool,
    full: bool,
    jobs: int,
    progress: Progress,
    finished: Callable[[Outcome], None],
) -> list[Outcome]:
    """Execute notebooks in fresh kernels, side by side.

    Parameters
    ----------
    notebooks : sequence of Notebook
    root : Path
        The collection's folder.
    check : bool
        Execute all and write nothing; figures are compared with the committed numbers. (What a campaign
        has trained is kept all the same, in ``.momentum/trainings``.)
    full : bool
        Let the notebooks carry out their campaigns (``MOMENTUM_FULL=1`` in the kernel) and place the
        results; otherwise they read the committed ones.
    jobs : int
        How many kernels at once.
    progress : callable
        Called with a notebook, the number of the code cell that starts, from 1, and an empty text; while
        the cell carries out a campaign again, with a word on how far that is.
    finished : callable
        Called with each outcome as it comes.

    Returns
    -------
    list of Outcome
        In the order of `notebooks`.
    """
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def every_one(folder: Path) -> list[Outcome]:
        task = asyncio.current_task()
        assert task is not None  # this is a coroutine
        running.append((asyncio.get_running_loop(), task))
        gate = asyncio.Semaphore(jobs)

        async def one(notebook: Notebook) -> Outcome:
            async with gate:
                outcome = await _one(notebook, root, folder, check, full, progress)
            finished(outcome)
            return outcome

        return await asyncio.gather(*(one(notebook) for notebook in notebooks))

    with _run_folder(root, check) as folder, ThreadPoolExecutor(1) as thread:
        # Not in the main thread: there the client would take over the interrupt for its own kernel.
        # Here an interrupt cancels every notebook, and each takes its kernel down with it.
        waiting = thread.submit(lambda: asyncio.run(every_one(folder)))
        try:
            return waiting.result()
        except KeyboardInterrupt:
            for loop, task in running:
                loop.call_soon_threadsafe(task.cancel)
            raise


async def _one(
    notebook: Notebook, root: Path, folder: Path, check: bool, full: bool, progress: Progress
) -> Outcome:
    if missing := notebook.missing:
        install = f"uv run --all-extras momentum reproduce {notebook.number or notebook.stem}"
        return Outcome(notebook, "skipped", f"needs {', '.join(missing)}: {install}")
    memory = root / ".momentum" / f"{notebook.stem}.json"
    key = _key(notebook, full, root)
    if not check and (records := _remembered(memory, key, root)) is not None:
        again = f"remove {memory.relative_to(root).as_posix()} to run it all the same"
        return Outcome(notebook, "current", f"up to date; {again}", records=records)
    staged = folder / notebook.stem
    figures, results, told = staged / "figures", staged / "results", staged / "progress"
    figures.mkdir(parents=True)
    execution = Execution(
        figures=str(figures),
        figures_reference=str(root / "figures") if check else "",
        records=str(staged / "records"),
        notebook=notebook.stem,
        full="1" if full else "",
        results=str(results),
        progress=str(told),
    )
    began, started = time.monotonic(), 0

    def starts() -> None:
        nonlocal started
        started += 1
        progress(notebook, started, "")

    try:
        async with _following(told, lambda text: progress(notebook, started, text)):
            node = await _run_cells(notebook, execution, None if full else CELL_LIMIT, starts)
        node = normalize(node)
        _refuse_machine_paths(notebook, node, root)
        _refuse_missing("figures", "save", notebook.figures, notebook, figures)
        if full:
            _refuse_missing("campaigns", "measured", notebook.results, notebook, results)
    except CellExecutionError as error:
        status, message = "failed", re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    except (NotebookError, RuntimeError, TimeoutError) as error:  # a cell's time limit, a dead kernel
        status, message = "failed", str(error)
    else:
        status, message = "done", f"figures: {len(notebook.figures)}"
    seconds = time.monotonic() - began
    records = _records(staged / "records")
    if status == "done" and not check:
        measured = _results(notebook, root) if full else []
        drawn = [root / "figures" / f"{name}.{kind}" for name in notebook.figures for kind in FIGURE_KINDS]
        for made, files in ((results, measured), (figures, drawn)):
            for file in files:
                file.parent.mkdir(parents=True, exist_ok=True)
                (made / file.name).replace(file)
        write_whole(notebook.path, f"{nbformat.writes(node)}\n".encode())
        _remember(memory, key, [*measured, *drawn, notebook.path], root, records)
    return Outcome(notebook, status, message, seconds, records)


@asynccontextmanager
async def _following(file: Path, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """Tell, while the body runs, what the kernel writes into `file`, each time it is something new."""

    async def follow() -> None:
        last = ""
        while True:
            await asyncio.sleep(LOOK)
            text = file.read_text(encoding="utf-8") if file.is_file() else ""
            if text not in ("", last):  # empty: caught between opening and writing
                tell(text)
                last = text

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()


async def _run_cells(
    notebook: Notebook, execution: Execution, limit: int | None, starts: Callable[[], None]
) -> nbformat.NotebookNode:
    content = notebook.content
    for index, cell in enumerate(content["cells"]):
        cell.setdefault("id", f"cell-{index}")  # the reader would draw one at random
    content["nbformat_minor"] = max(5, content.get("nbformat_minor", 5))
    node = nbformat.reads(json.dumps(content), as_version=4)
    client = NotebookClient(
        node,
        timeout=limit,
        kernel_name="python3",
        resources={"metadata": {"path": str(notebook.path.parent)}},
        on_cell_start=lambda cell, cell_index: starts() if cell.cell_type == "code" else None,
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
        extra_arguments=["--log-level=ERROR"],  # not how the kernel talks to us, on every start
    )
    return await client.async_execute(env=os.environ | execution.variables)


def normalize(node: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave in an executed notebook only what another run of it on another machine gives again.

    Cells are numbered in order; what `tidy` takes goes.
    """
    count = 0
    for cell in node.cells:
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        if cell.source.strip():
            count += 1
            cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    tidy(node)
    return nbformat.from_dict(node)


def tidy(node: dict[str, Any]) -> None:
    """Take from a notebook, in place, what only this machine or this moment put there.

    Timing, view states, widget models, the kernel's version. What is hidden stays hidden, said as Jupyter
    says it (twice), so that saving an untouched notebook changes nothing.
    """
    about = {name: value for name, value in node["metadata"].items() if name == "momentum"}
    about["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about["language_info"] = {"name": "python", "file_extension": ".py", "pygments_lexer": "ipython3"}
    node["metadata"] = about
    for cell in node["cells"]:
        kept = {key: cell["metadata"][key] for key in ("tags", "jupyter") if key in cell["metadata"]}
        if kept.get("jupyter", {}).get("outputs_hidden"):
            kept["collapsed"] = True
        cell["metadata"] = kept
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


def tidy_before_saving(model: dict[str, Any], **_: Any) -> None:
    """Jupyter's ``pre_save_hook`` under `momentum lab`: `tidy` for what is saved by hand."""
    if model["type"] == "notebook":
        tidy(model["content"])


def _refuse_machine_paths(notebook: Notebook, node: nbformat.NotebookNode, root: Path) -> None:
    for cell in node.cells:
        if found := machine_path("\n".join(output_texts(cell)), root):
            raise NotebookError(
                f"Cell {cell.execution_count} of {notebook.stem} shows {found!r}, "
                f"a place of this machine; print something else."
            )


def _refuse_missing(what: str, call: str, names: Iterable[str], notebook: Notebook, folder: Path) -> None:
    """Refuse a notebook that names what its run did not leave in `folder`."""
    if missing := set(names) - {path.stem for path in folder.glob("*.csv")}:
        raise NotebookError(
            f"{notebook.stem} names {what} it did not write: {', '.join(sorted(missing))}; "
            f"call {call} on every run."
        )


# ------------------------------------------------------------------------------------- what is up to date


def _key(notebook: Notebook, full: bool, root: Path) -> str:
    """What a notebook hangs on: its own text, the results it reads, the library, the packages beneath it.

    A full run makes the results; they are then among its files, not among its causes.
    """
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook.content["cells"]]
    files = [] if full else [file for file in _results(notebook, root) if file.is_file()]
    read = [(file.name, _digest(file.read_bytes())) for file in files]
    return _digest(json.dumps([cells, notebook.requires, full, read, _library(), _versions()]).encode())


def _results(notebook: Notebook, root: Path) -> list[Path]:
    """Where the results of its campaigns are committed."""
    return [root / "notebooks" / "results" / f"{name}.csv" for name in notebook.results]


@functools.cache
def _library() -> str:
    package = Path(__file__).parent
    files = sorted(p for p in package.rglob("*") if p.is_file() and p.suffix not in (".pyc", ".part"))
    return _digest(b"".join(str(p.relative_to(package)).encode() + p.read_bytes() for p in files))


@functools.cache
def _versions() -> tuple[str, ...]:
    """Python, and every package the project names."""
    found = [f"python {sys.version_info.major}.{sys.version_info.minor}"]
    for line in importlib.metadata.requires("momentum-lib") or ():
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(sorted(set(found)))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _remembered(memory: Path, key: str, root: Path) -> list[dict[str, Any]] | None:
    """The records of the last run if nothing has changed since, neither its causes nor its files."""
    if not memory.is_file():
        return None
    state = json.loads(memory.read_text(encoding="utf-8"))
    files = {root / name: digest for name, digest in state["files"].items()}
    if state["key"] != key or any(not f.is_file() or _digest(f.read_bytes()) != d for f, d in files.items()):
        return None
    return list(state["records"])


def _remember(
    memory: Path, key: str, files: Sequence[Path], root: Path, records: list[dict[str, Any]]
) -> None:
    digests = {str(file.relative_to(root)): _digest(file.read_bytes()) for file in files}
    write_whole(memory, json.dumps({"key": key, "files": digests, "records": records}).encode())


def _records(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@contextmanager
def _run_folder(root: Path, check: bool) -> Iterator[Path]:
    """A folder for what is on its way; on the collection's disk, so that a move is a rename."""
    if check:
        with tempfile.TemporaryDirectory() as elsewhere:
            yield Path(elsewhere)
        return
    for left in (root / ".momentum").glob("run-*"):
        if not psutil.pid_exists(int(left.name.removeprefix("run-"))):
            shutil.rmtree(left, ignore_errors=True)  # of a killed run
    folder = root / ".momentum" / f"run-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
