"""Executing notebooks: fresh kernels, whole files or none, and a memory of what is up to date.

A kernel is fresh: nothing has run in it. On Linux it is a fork of one process that has imported the packages
which several of the notebooks import, and nothing of the collection's own: a tenth of a full run went there.

A notebook runs with its figures, results and records led into a folder of the run, below the ignored
``.momentum/``. Only when it has succeeded are its results, its figures and itself written, each moved into
place by one rename, and its state last: whatever a kill interrupts, every file is whole, and the next run
takes up what is not noted. What agrees with what is committed stays as it is, so that another machine,
which rounds otherwise, changes no file. The trainings of a long campaign are kept one by one besides, in
``.momentum/trainings``, so that a full run never does one twice; and what JAX has compiled for a notebook,
in ``.momentum/compiled``: JAX knows a program by its text, its versions and the processor.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import functools
import hashlib
import importlib.metadata
import inspect
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from momentum_lib.collection import (
    Execution,
    Notebook,
    NotebookError,
    machine_path,
    output_texts,
    write_together,
)

# Else jsonschema, beneath nbformat, builds a grammar that no notebook is held against: 1.6 s of every start.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

import nbformat  # noqa: E402
from jupyter_client.provisioning.local_provisioner import LocalProvisioner  # noqa: E402
from nbclient import NotebookClient  # noqa: E402
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError  # noqa: E402

__all__ = ["FIGURE_KINDS", "Outcome", "execute", "normalize", "tidy_before_saving"]

#: Seconds one cell may take; a full run has no limit.
CELL_LIMIT: Final = 600

FIGURE_KINDS: Final = ("png", "svg", "csv")

#: Outputs that are compared by eye and not by letter.
PICTURES: Final = ("image/png", "image/jpeg")

#: Drawings inside HTML are compared but for their places, which may be off by this many points.
NEAR: Final = 0.02

_SVG: Final = re.compile(r"<svg.*?</svg>", re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")
_ID: Final = re.compile(r"\b[pm][0-9a-f]{10}\b")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")

#: Everything that JAX compiles is kept, however fast that was; the folder's place is no part of its name.
_COMPILED: Final = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",
}

#: Where Matplotlib draws in a notebook, as the kernel will say.
_INLINE: Final = "module://matplotlib_inline.backend_inline"

#: Packages that may be imported once: they start no threads, and their import asks nothing of the notebook.
#: pandas asks whether it is in one, and cuts its tables where it is not.
_SHARED: Final = frozenset({"matplotlib", "numpy", "scipy", "sympy"})

#: Seconds between two looks at how far a campaign is.
LOOK: Final = 1.0

Progress = Callable[[Notebook, int, str], None]
Fork = Callable[[list[str], str, dict[str, str]], psutil.Process]


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
                outcome = await _one(notebook, root, folder, check, full, progress, fork)
            finished(outcome)
            return outcome

        return await asyncio.gather(*(one(notebook) for notebook in notebooks))

    with _run_folder(root, check) as folder, _nursery(notebooks) as fork, ThreadPoolExecutor(1) as thread:
        # Not in the main thread: there the client would take over the interrupt for its own kernel.
        # Here an interrupt cancels every notebook, and each takes its kernel down with it.
        waiting = thread.submit(lambda: asyncio.run(every_one(folder)))
        try:
            return waiting.result()
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # another one would leave kernels behind
            for loop, task in running:
                loop.set_exception_handler(lambda *_: None)  # what the client's own tasks meet, left alone
                loop.call_soon_threadsafe(task.cancel)
            raise


async def _one(
    notebook: Notebook,
    root: Path,
    folder: Path,
    check: bool,
    full: bool,
    progress: Progress,
    fork: Fork,
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
    figures, results, trained = staged / "figures", staged / "results", staged / "progress"
    figures.mkdir(parents=True)
    execution = Execution(
        figures=str(figures),
        figures_reference=str(root / "figures") if check else "",
        records=str(staged / "records"),
        notebook=notebook.stem,
        full="1" if full else "",
        results=str(results),
        progress=str(trained),
    )
    # A folder of this run alone, since JAX writes in place: half a file would warn in every later output.
    compiled, last = staged / "compiled", root / ".momentum" / "compiled" / notebook.stem
    variables = execution.variables
    if not full:  # there processes would share it
        with suppress(OSError):  # there is none yet, or another run puts its own there
            shutil.copytree(last, compiled)
        variables |= _COMPILED | {"JAX_COMPILATION_CACHE_DIR": str(compiled)}
    began, started = time.monotonic(), 0

    def starts() -> None:
        nonlocal started
        started += 1
        progress(notebook, started, "")

    def ended(status: str, message: str) -> Outcome:
        seconds = time.monotonic() - began
        return Outcome(notebook, status, message, seconds, _records(staged / "records"))

    try:
        async with _following(trained, lambda text: progress(notebook, started, text)):
            node = await _run_cells(notebook, variables, None if full else CELL_LIMIT, starts, fork)
        node = normalize(node)
        _refuse_machine_paths(notebook, node, root)
        _refuse_missing("figures", "save", notebook.figures, notebook, figures)
        if full:
            _refuse_missing("campaigns", "measured", notebook.results, notebook, results)
        records = _records(staged / "records")
        told = f"figures: {len(notebook.figures)}"
        if not check:
            kept = [name for name in notebook.figures if _agrees(name, figures, root / "figures")]
            cells = _keep_outputs(node, notebook)
            new = [*(name for name in notebook.figures if name not in kept), *(f"cell {n}" for n in cells)]
            told += f", new: {', '.join(new)}" if new else ", nothing new"
            places = [(results, file) for file in (_results(notebook, root) if full else [])]
            places += [
                (root / "figures" if name in kept else figures, root / "figures" / f"{name}.{kind}")
                for name in notebook.figures
                for kind in FIGURE_KINDS
            ]
            contents = {file: (made / file.name).read_bytes() for made, file in places}
            contents[notebook.path] = f"{nbformat.writes(node)}\n".encode()
            digests = {str(file.relative_to(root)): _digest(content) for file, content in contents.items()}
            state = {"key": key, "files": digests, "records": records}
            write_together({**contents, memory: json.dumps(state).encode()})
        _keep_compiled(compiled, last)
    except CellExecutionError as error:
        traceback = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
        return ended("failed", f"cell {started} raised {error.ename}: {error.evalue}\n{traceback}")
    except DeadKernelError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise asyncio.CancelledError from None  # the client takes an interrupt for a death
        return ended("failed", f"the kernel died in cell {started}, killed or out of memory")
    except CellTimeoutError:
        return ended("failed", f"cell {started} did not end within {CELL_LIMIT} s")
    except OSError as error:
        where = error.filename or notebook.path.name
        return ended("failed", f"{error.strerror}: {where}; what is committed stayed as it was")
    except (NotebookError, RuntimeError) as error:
        return ended("failed", str(error))
    return ended("done", told)


def _keep_compiled(made: Path, kept: Path) -> None:
    """Put what JAX compiled in the place of what it had; where that cannot be, it compiles again."""
    if not made.is_dir() or {f.name for f in made.iterdir()} <= {f.name for f in kept.glob("*")}:
        return
    part = kept.with_name(f".{kept.name}.{os.getpid()}")
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, part)
        shutil.rmtree(kept, ignore_errors=True)
        part.replace(kept)
    shutil.rmtree(part, ignore_errors=True)


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


class _Kernel(psutil.Process):  # type: ignore[misc]
    """A forked kernel, as its provisioner wants to see what it has started."""

    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        """None while it runs."""
        return None if self.is_running() else 0


@contextmanager
def _nursery(notebooks: Sequence[Notebook]) -> Iterator[Fork]:
    """What forks a kernel with a command line, a folder and an environment of its own.

    The process that is forked is started with the first kernel and ends with the run. Of the packages in
    `_SHARED` it imports what at least two of the notebooks import.
    """
    imported = Counter(name for notebook in notebooks for name in notebook.imports)
    several = [name for name, count in imported.items() if count > 1 and name.split(".")[0] in _SHARED]
    with ExitStack() as stack:

        @functools.cache
        def process() -> subprocess.Popen[str]:
            made = subprocess.Popen(
                [sys.executable, "-c", f"{inspect.getsource(_fork_kernels)}\n_fork_kernels({several})"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | Execution().variables | {"MPLBACKEND": _INLINE},
                start_new_session=True,  # an interrupt at the terminal passes it by
            )
            return stack.enter_context(made)

        def fork(*told: Any) -> _Kernel:
            pipes = process()
            assert pipes.stdin is not None and pipes.stdout is not None
            print(json.dumps(told), file=pipes.stdin, flush=True)
            return _Kernel(int(pipes.stdout.readline()))

        yield fork


def _fork_kernels(modules: list[str]) -> None:
    """Import, then fork a kernel for every line read and tell its number; runs alone, from its text."""
    import sys

    sys.path[:] = filter(None, sys.path)  # not from the folder this happens to start in
    import contextlib
    import gc
    import importlib
    import json
    import os
    import signal

    from ipykernel import kernelapp

    for name in modules:
        importlib.import_module(name)

    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    signal.signal(signal.SIGCHLD, reap)
    gc.freeze()  # what is shared is not looked through again, and so not copied
    for line in sys.stdin:
        if number := os.fork():
            print(number, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)  # the pipe is not the kernel's
        command, folder, environment = json.loads(line)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        parent = f"--IPKernelApp.parent_handle={os.getppid()}"  # to end with it; read in vain at the import
        return kernelapp.launch_new_instance([*command[command.index("-f") :], parent])


class _Forking(LocalProvisioner):
    """Starts a kernel by a fork."""

    fork: Fork

    async def launch_kernel(self, cmd: list[str], **told: Any) -> Any:
        """Where it is met."""
        self.process = self.fork(cmd, told["cwd"], told["env"])
        self.pid = self.pgid = self.process.pid
        return self.connection_info


async def _run_cells(
    notebook: Notebook,
    variables: dict[str, str],
    limit: int | None,
    starts: Callable[[], None],
    fork: Fork,
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
        coalesce_streams=False,  # minutes for one long line: `normalize` does it
        store_widget_state=False,
        extra_arguments=[
            "--log-level=CRITICAL",  # what a cell meets, its output tells
            # The layout fills a figure, so there is nothing to crop, and no drawing that finds out how much.
            "--InlineBackend.print_figure_kwargs={'bbox_inches': None}",
        ],
    )
    for tries_left in (1, 0):
        manager = client.create_kernel_manager()
        if sys.platform == "linux":  # elsewhere a process that has loaded libraries may not fork, or cannot
            manager.provisioner = _Forking(kernel_spec=manager.kernel_spec, parent=manager)
            manager.provisioner.fork = fork
        try:
            await client.async_start_new_kernel(env=os.environ | variables)
            await client.async_start_new_kernel_client()
            break
        except RuntimeError:  # the ports it was told may have been taken in between
            if not tries_left:
                raise
    return await client.async_execute()


def normalize(node: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave in an executed notebook only what another run of it on another machine gives again.

    Cells are numbered in order, what they print is one text; what `tidy` takes goes.
    """
    count = 0
    for cell in node.cells:
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        if cell.source.strip():
            count += 1
            cell.execution_count = count
        cell.outputs = _joined(cell.outputs)
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    tidy(node)
    return nbformat.from_dict(node)


def _joined(outputs: Iterable[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Outputs with one stream of each name, where its first piece came; of neighbors stdout stands first.

    How far a line was taken back is not shown: of what is between carriage returns the last is left.
    """
    found: list[nbformat.NotebookNode] = []
    pieces: dict[str, list[str]] = {}
    for output in outputs:
        if output.output_type != "stream":
            found.append(output)
        elif output.name in pieces:
            pieces[output.name].append(output.text)
        else:
            pieces[output.name] = [output.text]
            found.append(output)
    for place, output in enumerate(found):
        if output.output_type == "stream":
            lines = "".join(pieces[output.name]).split("\n")
            output.text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
            before = found[place - 1] if place else output
            if output.name == "stdout" and before.get("name") == "stderr":
                found[place - 1 : place + 1] = output, before
    return found


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


# ------------------------------------------------------------------------------------ what is committed


def _agrees(name: str, made: Path, committed: Path) -> bool:
    """Whether a figure is the committed one: its numbers within their tolerance, and to the eye."""
    from momentum_lib.plots import difference

    if not all((committed / f"{name}.{kind}").is_file() for kind in FIGURE_KINDS):
        return False
    text = (made / f"{name}.csv").read_text(encoding="utf-8")
    old = (committed / f"{name}.csv").read_text(encoding="utf-8")
    if text.partition("\n")[0] != old.partition("\n")[0]:  # title, caption, tolerances
        return False
    pictures = ((folder / f"{name}.png").read_bytes() for folder in (made, committed))
    return not difference(name, text, committed / f"{name}.csv") and _look_alike(*pictures)


def _look_alike(one: bytes, other: bytes) -> bool:
    """Whether two PNGs show the same: no square of 8 x 8 pixels differs by a tenth of black to white."""
    import numpy as np
    from matplotlib.image import imread

    if one == other:
        return True
    try:
        a, b = (imread(io.BytesIO(picture)) for picture in (one, other))
    except (OSError, SyntaxError):  # no picture, as its reader says it
        return False
    if a.shape != b.shape:
        return False
    away = np.abs(a - b).max(axis=-1) if a.ndim == 3 else np.abs(a - b)
    rows, columns = (-(-size // 8) * 8 for size in away.shape)
    away = np.pad(away, ((0, rows - away.shape[0]), (0, columns - away.shape[1])))
    return bool(away.reshape(rows // 8, 8, columns // 8, 8).mean(axis=(1, 3)).max() < 0.1)


def _keep_outputs(node: nbformat.NotebookNode, notebook: Notebook) -> list[int]:
    """Put back a cell's committed outputs where the new ones say the same; the numbers of all other cells."""
    committed = normalize(nbformat.reads(json.dumps(notebook.content), as_version=4))
    others = []
    for cell, before in zip(node.cells, committed.cells, strict=True):
        if cell.cell_type != "code":
            continue
        if (
            [*map(_told, cell.outputs)] == [*map(_told, before.outputs)]
            and all(
                _look_alike(*map(base64.b64decode, pictures))
                for pictures in zip(_pictures(cell), _pictures(before), strict=True)
            )
            and all(abs(a - b) < NEAR for a, b in zip(_places(cell), _places(before), strict=True))
        ):
            cell.outputs = before.outputs
        else:
            others.append(cell.execution_count)
    return others


def _told(output: nbformat.NotebookNode) -> dict[str, Any]:
    """An output without the bytes of its pictures, and without the places in what its HTML draws."""
    data = {form: form in PICTURES or text for form, text in output.get("data", {}).items()}
    if (page := output.get("data", {}).get("text/html")) is not None:
        data["text/html"] = _SVG.sub(lambda svg: _TAG.sub(_shape, _by_number(svg[0])), page)
    return {**output, "data": data}


def _by_number(svg: str) -> str:
    """A drawing with its ids numbered: Matplotlib makes them of all the digits of a place."""
    names: dict[str, str] = {}
    return _ID.sub(lambda found: names.setdefault(found[0], f"p-{len(names)}"), svg)


def _shape(tag: re.Match[str]) -> str:
    return _NUMBER.sub("#", tag[0])


def _places(cell: nbformat.NotebookNode) -> list[float]:
    """Every number, mostly in points, in what its HTML draws."""
    pages = [output.get("data", {}).get("text/html", "") for output in cell.outputs]
    tags = (tag for page in pages for svg in _SVG.findall(page) for tag in _TAG.findall(_by_number(svg)))
    return [float(number) for tag in tags for number in _NUMBER.findall(tag)]


def _pictures(cell: nbformat.NotebookNode) -> list[str]:
    return [
        text for output in cell.outputs for form, text in output.get("data", {}).items() if form in PICTURES
    ]


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
    try:
        state = json.loads(memory.read_text(encoding="utf-8"))
        files = {root / name: digest for name, digest in state["files"].items()}
        known = state["key"] == key and all(_digest(f.read_bytes()) == d for f, d in files.items())
        return list(state["records"]) if known else None
    except (ValueError, TypeError, KeyError, AttributeError, OSError):  # broken, or a file of it is gone
        return None


def _records(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@contextmanager
def _run_folder(root: Path, check: bool) -> Iterator[Path]:
    """A folder for what is on its way."""
    if check:
        with tempfile.TemporaryDirectory() as elsewhere:
            yield Path(elsewhere)
        return
    for place in (root / "figures", root / "notebooks"):
        if place.exists() and not os.access(place, os.W_OK):  # told now, not after the run
            raise OSError(errno.EROFS, "cannot be written", str(place))
    for left in (root / ".momentum").glob("run-[0-9]*"):
        if not psutil.pid_exists(int(left.name.removeprefix("run-"))):
            shutil.rmtree(left, ignore_errors=True)  # of a killed run
    folder = root / ".momentum" / f"run-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
