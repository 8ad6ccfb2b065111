"""The collection on disk: where it lies, what each notebook declares, and how it is executed.

Read by the command line and by the tests, so that a notebook's title, figures and requirements are
told once, by the notebook: its heading, its calls of ``save(fig, "name", data)`` and of
``measured("name", trials)``, and its metadata ``{"momentum": {"requires": ["torch"]}}``. Nothing is
executed here and no notebook library is needed.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

__all__ = [
    "Execution",
    "Notebook",
    "NotebookError",
    "caption",
    "check_name",
    "find_root",
    "lacking",
    "machine_path",
    "needs",
    "notebooks",
    "output_texts",
    "parse_cell",
    "write_page",
    "write_together",
    "write_whole",
]

P = ParamSpec("P")
T = TypeVar("T")

#: One thread a process, since notebooks run side by side; nothing that depends on the terminal;
#: frameworks that keep their advice to themselves.
_OF_OTHERS: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NPROC": "1",  # XLA sizes its pool of threads by it
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "JAX_PLATFORMS": "cpu",
    "TQDM_DISABLE": "1",
    "COLUMNS": "100",
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


def lacking(what: str, library: str | None, extra: str) -> str:
    """Say that a library is missing and how to get it: no index has this one, so from its folder."""
    return (
        f"{what} needs {library}, of the extra {extra}; in the collection's folder: "
        f"uv sync --extra {extra}, or: python -m pip install --editable '.[{extra}]'."
    )


def needs(library: str, extra: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function say what is missing before it begins, instead of Python somewhere inside it."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def told(*args: P.args, **kwargs: P.kwargs) -> T:
            if importlib.util.find_spec(library) is None:
                raise ModuleNotFoundError(lacking(function.__name__, library, extra), name=library)
            return function(*args, **kwargs)

        return told

    return decorate


@dataclass(frozen=True)
class Execution:
    """How notebooks are executed, as the environment tells it: ``MOMENTUM_`` and the name, upper case.

    Read here and nowhere else (`here`). What executes notebooks, `momentum reproduce` and the tests, hands
    `variables` to the kernels. Empty is not set.

    Examples
    --------
    >>> Execution(full="1").variables["MOMENTUM_FULL"]
    '1'
    """

    figures: str = ""  #: folder where `save` writes; ``figures/`` of the collection if not set
    figures_reference: str = ""  #: folder of figures whose numbers `save` compares with its own
    records: str = ""  #: file to which ``published.check`` adds a line for each number
    notebook: str = ""  #: stem of the notebook that runs
    full: str = ""  #: whether long campaigns are carried out; without it their committed results are read
    results: str = ""  #: folder where a full run writes them; ``notebooks/results/`` if not set
    progress: str = ""  #: file to which a campaign writes how far it is

    @classmethod
    def here(cls) -> Execution:
        """What the environment of this process says."""
        return cls(*(os.environ.get(f"MOMENTUM_{field.name.upper()}", "") for field in fields(cls)))

    @property
    def variables(self) -> dict[str, str]:
        """The environment that says it, with what other libraries are told at every execution."""
        return _OF_OTHERS | {f"MOMENTUM_{name.upper()}": value for name, value in vars(self).items()}


_MACHINE_PATH = re.compile(
    r"(?<![\w.:/~-])/(?:home|Users|root|tmp|var|private|usr|opt|mnt|workspaces?)/[\w.][\w./-]*"
    r"|\b[A-Z]:\\\w[\w.\\-]*"
)
_MAGIC = re.compile(r"^(\s*)[%!?].*$", re.MULTILINE)


class NotebookError(ValueError):
    """A notebook declares something that cannot be read; the message names cell and remedy."""


@dataclass(frozen=True)
class Notebook:
    """What one notebook declares, read from its file.

    Examples
    --------
    >>> one = Notebook(Path("notebooks/04_draw_the_stability_region.ipynb"))
    >>> one.number, one.name
    ('04', 'draw_the_stability_region')
    """

    path: Path

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def number(self) -> str:
        """The two digits the file's name begins with, or an empty string."""
        head = self.stem.split("_")[0]
        return head if head.isdigit() else ""

    @property
    def name(self) -> str:
        """The stem without its number."""
        return self.stem.removeprefix(f"{self.number}_") if self.number else self.stem

    @cached_property
    def content(self) -> dict[str, Any]:
        """The file, parsed."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise NotebookError(f"{self.path.name} is not a notebook ({error}); save it again.") from None
        if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
            raise NotebookError(f"{self.path.name} has no cells; save it as a version 4 notebook.")
        return content

    def sources(self, cell_type: str) -> list[str]:
        """Text of the cells of a type, in order."""
        cells = self.content["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == cell_type]

    @cached_property
    def title(self) -> str:
        """The first heading, without its ``#``."""
        lines = "\n".join(self.sources("markdown")).splitlines()
        return next((line.lstrip("# ").strip() for line in lines if line.startswith("# ")), self.name)

    @property
    def headings(self) -> list[str]:
        """The headings of its sections, those of second level, in order."""
        return re.findall(r"^## (.+?) *$", "\n".join(self.sources("markdown")), flags=re.MULTILINE)

    @cached_property
    def requires(self) -> tuple[str, ...]:
        """Modules it cannot run without, as its metadata says."""
        return tuple(self.content.get("metadata", {}).get("momentum", {}).get("requires", ()))

    @property
    def missing(self) -> tuple[str, ...]:
        """Those of `requires` that are not installed."""
        return tuple(name for name in self.requires if importlib.util.find_spec(name) is None)

    @cached_property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures it saves, in order.

        Raises
        ------
        NotebookError
            A name is not written as a literal, or is used twice.
        """
        return self._literals("save", {"momentum_lib", "momentum_lib.plots"}, 1, "figure name")

    @cached_property
    def published(self) -> tuple[str, ...]:
        """Ids of the published numbers it checks, in order.

        Raises
        ------
        NotebookError
            An id is not written as a literal, or is checked twice.
        """
        return self._literals("check", {"momentum_lib.published"}, 0, "published id")

    @cached_property
    def results(self) -> tuple[str, ...]:
        """Names of the campaigns it reads, in order: each has its ``notebooks/results/NAME.csv``.

        Raises
        ------
        NotebookError
            A name is not written as a literal, or is used twice.
        """
        modules = {"momentum_lib.learning", "momentum_lib.learning.campaigns"}
        return self._literals("measured", modules, 0, "campaign name")

    def _literals(self, function: str, modules: set[str], position: int, what: str) -> tuple[str, ...]:
        found: list[str] = []
        for call in self._calls(function, modules):
            argument = call.args[position] if len(call.args) > position else None
            if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                raise NotebookError(
                    f"{self.path.name} calls {ast.unparse(call.func)} with a {what} that is not a literal; "
                    f"write the name out, so that it can be found without running the notebook."
                )
            if argument.value in found:
                raise NotebookError(f"{self.path.name} uses the {what} {argument.value!r} twice; rename one.")
            found.append(argument.value)
        return tuple(found)

    @cached_property
    def imports(self) -> set[str]:
        """Modules that its code imports, or imports from."""
        found = {name.name for node in self._nodes if isinstance(node, ast.Import) for name in node.names}
        return found | {str(node.module) for node in self._nodes if isinstance(node, ast.ImportFrom)}

    @cached_property
    def _nodes(self) -> list[ast.AST]:
        """Every part of its code."""
        trees = [parse_cell(source, self.path.name) for source in self.sources("code")]
        return [node for tree in trees for node in ast.walk(tree)]

    def _calls(self, function: str, modules: set[str]) -> Iterator[ast.Call]:
        """Calls of a function of one of the modules, under whatever name it was imported."""
        bare, owners = set[str](), set[str]()
        for node in self._nodes:
            if isinstance(node, ast.Import):
                for name in node.names:
                    if name.name in modules:
                        owners.add(name.asname or name.name)
                    if name.name == "momentum_lib":  # ml.published.check, ml.plots.save
                        owners.update(m.replace("momentum_lib", name.asname or name.name, 1) for m in modules)
            elif isinstance(node, ast.ImportFrom):
                for name in node.names:
                    if node.module in modules and name.name == function:
                        bare.add(name.asname or name.name)
                    if f"{node.module}.{name.name}" in modules:
                        owners.add(name.asname or name.name)
        for node in self._nodes:
            if isinstance(node, ast.Call):
                called = node.func
                if (isinstance(called, ast.Name) and called.id in bare) or (
                    isinstance(called, ast.Attribute)
                    and called.attr == function
                    and ast.unparse(called.value) in owners
                ):
                    yield node


def output_texts(cell: Mapping[str, Any]) -> Iterator[str]:
    """What a cell's outputs say in words: streams and every form of a shown value but pictures."""
    for output in cell.get("outputs", ()):
        forms = {"stream": output.get("text", ""), **output.get("data", {})}
        for form, text in forms.items():
            if not form.startswith("image/") and isinstance(text, str | list):
                yield "".join(text)


def machine_path(text: str, root: Path) -> str | None:
    """A place of one machine that a text names, which has no business in a committed notebook."""
    if str(root) in text:
        return str(root)
    found = _MACHINE_PATH.search(text)
    return found[0] if found else None


def parse_cell(source: str, where: str) -> ast.Module:
    """Syntax tree of a cell; magics and shell lines become ``pass``."""
    try:
        return ast.parse("" if source.startswith("%%") else _MAGIC.sub(r"\1pass", source))
    except SyntaxError as error:
        raise NotebookError(
            f"{where} has a cell that is not Python ({error.msg}): {source[:60]!r}."
        ) from None


def find_root(start: Path | None = None) -> Path:
    """The folder of the nearest ``pyproject.toml`` upwards from `start` (default: the working directory).

    Raises
    ------
    ValueError
        There is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder
    raise ValueError(f"There is no pyproject.toml above {start}; work inside the collection's folder.")


def notebooks(root: Path) -> list[Notebook]:
    """The notebooks of a collection, in their order.

    Raises
    ------
    NotebookError
        Two of them claim one figure, or one campaign.
    """
    found = [Notebook(path) for path in sorted((root / "notebooks").glob("*.ipynb"))]
    owner: dict[str, Notebook] = {}
    for notebook in found:
        claims = [f"figure {name!r} is saved" for name in notebook.figures]
        claims += [f"campaign {name!r} is measured" for name in notebook.results]
        for claim in claims:
            if claim in owner:
                raise NotebookError(f"The {claim} by {owner[claim].stem} and {notebook.stem}; rename one.")
            owner[claim] = notebook
    return found


def caption(figures: Path, name: str) -> tuple[str, str]:
    """Caption and alternative text of a figure, from the head of its CSV."""
    with (figures / f"{name}.csv").open(encoding="utf-8") as file:
        told = json.loads(file.readline().removeprefix("#"))
    text = told.get("caption", f"{told['title']}.")
    return text, told.get("alt", text)


def check_name(what: str, name: Any) -> None:
    """Refuse a name that is more than words: it becomes that of a file, and leads out of no folder.

    Raises
    ------
    ValueError
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(f"{what} is named in lower-case words joined by hyphens, got {name!r}.")


def write_page(path: str | Path, page: str, what: str) -> Path:
    """Write a page that stands alone.

    Raises
    ------
    ValueError
        A path that does not end in .html.
    """
    path = Path(path)
    if path.suffix != ".html":
        raise ValueError(f"{what} is saved as a page, and {path.name!r} does not end in .html.")
    write_whole(path, page.encode())
    return path


def write_whole(file: Path, content: bytes) -> None:
    """Write a file beside its place and move it there: a reader or a kill meets the old or the new one."""
    write_together({file: content})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files beside their places, and only once all of them are written move them there.

    A full disk or a folder that cannot be written is met before anything has changed.
    """
    parts = {file: file.with_name(f".{file.name}.{os.getpid()}") for file in contents}
    try:
        for file, part in parts.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(contents[file])
        for file, part in parts.items():
            part.replace(file)
    finally:
        for part in parts.values():
            with suppress(OSError):  # moved, or never made
                part.unlink(missing_ok=True)
