"""The ``momentum`` command: ``list``, open a ``lab``, ``reproduce``, make a ``book``, hold a ``course``."""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from momentum_lib import publishing
from momentum_lib.collection import Notebook, caption, find_root, lacking, notebooks, write_whole
from momentum_lib.course import commands as course
from momentum_lib.definition import RULES
from momentum_lib.published import entries

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, 1 (something failed or differs) or 2 (wrong use)."""
    parser = argparse.ArgumentParser(prog="momentum", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the rules, and the notebooks with their figures")
    commands.add_parser(
        "lab",
        help="open the collection in JupyterLab, notebook 00 first; options go on to `jupyter lab`",
        description="JupyterLab over the whole folder, so that notebooks find their pictures, with notebook "
        "00 open. What only this machine knows (timing, versions) is left out of the notebooks you save. "
        "Options go on to `jupyter lab`.",
    )
    reproduce = commands.add_parser(
        "reproduce",
        help="execute the notebooks, rewrite their outputs and figures/, compare with published numbers",
        description="Execute notebooks in fresh kernels and rewrite their outputs and figures/. "
        "A notebook that is up to date is skipped, so a run that was killed is taken up by the next.",
    )
    reproduce.add_argument("id", nargs="*", help="number or name of a notebook, or name of a figure (all)")
    reproduce.add_argument("--check", action="store_true", help="execute all, compare figures, write nothing")
    reproduce.add_argument("--jobs", type=_count, default=os.cpu_count() or 1, help="notebooks at once")
    reproduce.add_argument(
        "--full",
        action="store_true",
        help="do the long trainings behind notebooks 13 and 14 again, over all cores, and rewrite "
        "notebooks/results/ (hours; a finished training is kept in .momentum/trainings, so a killed run "
        "goes on)",
    )
    book = commands.add_parser(
        "book",
        help="the whole collection as an HTML site, from the notebooks as committed",
        description="Build the collection as an HTML site in .momentum/book/site, from the notebooks as "
        "committed. Nothing is executed and no network is asked.",
    )
    book.add_argument("--zip", action="store_true", help="pack site and notebooks into one file besides")
    course.add_to(commands)
    options, more = parser.parse_known_args(arguments)
    if more and options.command != "lab":
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    try:
        return _carry_out(options, more)
    except ValueError as error:
        print(f"momentum: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head`: who reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # a full disk, a folder that cannot be written
        print(f"momentum: {error.filename}: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("momentum: interrupted; what was finished is in place, the next run takes up the rest.")
        return 130


def _carry_out(options: argparse.Namespace, more: Sequence[str]) -> int:
    try:
        root = find_root()
    except ValueError:
        if options.command != "list":
            raise
        status = _list([])  # the library alone, installed from a wheel
        print("They are in the collection's folder; run `momentum list` there.")
    else:
        _refuse_others(root)
        if options.command == "lab":
            return _lab(root, more)
        if options.command == "course":
            return course.carry_out(options, root)
        known = notebooks(root)
        if options.command == "book":
            return _book(root, zipped=options.zip)
        if options.command == "reproduce":
            return _reproduce(_choose(options.id, known), known, root, options)
        status = _list(known)
    sys.stdout.flush()  # here, where a pipe that was closed is expected
    return status


def _refuse_others(root: Path) -> None:
    """Refuse a folder that is somebody else's project: its notebooks would be executed and rewritten."""
    told = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    name = told.get("project", {}).get("name", "without a name")
    if name != "momentum-lib" and "momentum" not in told.get("tool", {}):
        raise ValueError(
            f"{root} is the folder of the project {name!r}, not of this collection; work inside the "
            f"collection's folder, or add an empty table [tool.momentum] to that pyproject.toml."
        )


def _lab(root: Path, more: Sequence[str]) -> int:
    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        raise ValueError(lacking("This", error.name, "lab")) from None
    os.chdir(root)
    LabApp.launch_instance(
        [
            "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb",
            "--FileContentsManager.pre_save_hook=momentum_lib.execution.tidy_before_saving",
            *more,
        ]
    )
    return 0


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"give a whole number from 1, not {text!r}")
    return int(text)


def _choose(ids: Sequence[str], known: Sequence[Notebook]) -> list[Notebook]:
    """The notebooks meant by numbers, names and figures, in the collection's order."""
    names: dict[str, Notebook] = {}
    for notebook in known:
        for name in (notebook.number, notebook.number.lstrip("0"), notebook.name, notebook.stem):
            names.setdefault(name, notebook)
        names.update(dict.fromkeys(notebook.figures, notebook))
    for id in ids:
        if not id or id not in names:
            near = get_close_matches(id, names, 3) or [name for name in names if id and id in name][:3]
            hint = f"did you mean {' or '.join(near)}" if near else "`momentum list` shows what there is"
            raise ValueError(f"There is no notebook or figure {id!r}; {hint}.")
    chosen = [names[id] for id in ids] if ids else known
    return [notebook for notebook in known if notebook in chosen]


def _list(known: Sequence[Notebook]) -> int:
    print("Rules")
    for rule in RULES.values():
        hyper = [f"{h}={rule.defaults[h]!r}" if h in rule.defaults else h for h in rule.hyper]
        print(f"  {rule.name}({', '.join(rule.slots)}; {', '.join(hyper)})")
        print(f"      {rule.card['Summary']}")
    print("\nNotebooks" if known else "\nNo notebooks yet")
    for notebook in known:
        print(f"  {notebook.number} {notebook.name}: {notebook.title}")
        if notebook.figures:
            print(f"      figures: {', '.join(notebook.figures)}")
        if notebook.results:
            print(f"      long sweeps: {', '.join(notebook.results)}")
        if notebook.missing:
            print(f"      not runnable here: needs {', '.join(notebook.missing)} (uv sync --all-extras)")
    return 0


def _book(root: Path, *, zipped: bool) -> int:
    try:
        site = publishing.build(root, root / ".momentum" / "book")
    except ImportError as error:
        raise ValueError(lacking("This", error.name, "book")) from None
    print(publishing.print_sheet(site))
    if zipped:
        print(f"Site and notebooks in one file: {publishing.archive(root, site)}")
    print(f"The book: {site / 'index.html'}")
    return 0


def _reproduce(
    chosen: Sequence[Notebook], known: Sequence[Notebook], root: Path, options: argparse.Namespace
) -> int:
    try:
        from tqdm import tqdm

        from momentum_lib.execution import Outcome, execute
    except ImportError as error:
        raise ValueError(lacking("This", error.name, "lab")) from None

    at: dict[str, str] = {}
    total = {notebook.stem: len(notebook.sources("code")) for notebook in chosen}
    # A log file needs fewer lines than a terminal.
    interval = 0.1 if sys.stderr.isatty() else 10
    with tqdm(total=sum(total.values()), unit="cell", leave=False, mininterval=interval) as bar:

        def progress(notebook: Notebook, cell: int, told: str) -> None:
            where = f"{notebook.number or notebook.stem} cell {cell}/{total[notebook.stem]}"
            at[notebook.stem] = f"{where} ({told})" if told else where
            bar.set_postfix_str(", ".join(at.values()), refresh=bool(told))
            bar.update(not told)

        def finished(outcome: Outcome) -> None:
            notebook = outcome.notebook
            at.pop(notebook.stem, None)
            if outcome.status in ("current", "skipped"):
                bar.total -= total[notebook.stem]
            took = f" in {outcome.seconds:.0f} s" if outcome.seconds else ""
            bar.write(f"{notebook.stem}: {outcome.status}{took}; {outcome.message}", file=sys.stdout)

        outcomes = execute(
            chosen,
            root,
            check=options.check,
            full=options.full,
            jobs=min(options.jobs, max(1, len(chosen))),
            progress=progress,
            finished=finished,
        )
    if any(outcome.status == "done" for outcome in outcomes) and not options.check:
        _write_gallery(known, root)
    records = [record for outcome in outcomes for record in outcome.records]
    _print_table(records)
    count = Counter(outcome.status for outcome in outcomes)
    differs = sum(record["verdict"] != "agrees" for record in records)
    print(
        f"Notebooks: {count['done']} done, {count['current']} up to date, "
        f"{count['skipped']} skipped, {count['failed']} failed. "
        f"Published numbers: {len(records) - differs} agree, {differs} differ."
    )
    return 1 if count["failed"] or differs else 0


def _print_table(records: Sequence[dict[str, Any]]) -> None:
    """The closing table: what was published, what came out here."""
    if not records:
        return
    rows = [("id", "published", "here", "tolerance", "verdict")]
    recalled = {id for id, entry in entries().items() if entry.read == "recalled"}
    for record in records:
        rows.append(
            (
                record["id"],
                _show(record["published"]),
                _show(record["here"]),
                f"{record['tolerance']:g}",
                record["verdict"] + " with what is recalled, not read" * (record["id"] in recalled),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


def _show(value: float | list[float]) -> str:
    return ", ".join(f"{item:.8g}" for item in value) if isinstance(value, list) else f"{value:.8g}"


def _write_gallery(known: Iterable[Notebook], root: Path) -> None:
    """figures/README.md: every figure with its caption, notebook and numbers; and a page to play with."""
    from momentum_lib.explorer import explore

    explore((RULES["heavy_ball"], RULES["nesterov"])).save(root / "figures" / "explorer.html")
    lines = [
        "# Gallery",
        "",
        "To play with: [explorer.html](explorer.html), saved and opened in a browser.",
        "",
        "Every figure of the collection, as its notebook draws it. `uv run momentum reproduce` rewrites",
        "this page; the numbers a figure shows stand beside it as CSV, with their tolerances.",
    ]
    for notebook in known:
        drawn = [name for name in notebook.figures if (root / "figures" / f"{name}.csv").is_file()]
        if not drawn:
            continue
        heading = f"{notebook.number} {notebook.title}".strip()
        link = f"[{heading}](../notebooks/{notebook.path.name})"
        lines += ["", f"## {heading}"]
        for name in drawn:
            text, alt = caption(root / "figures", name)
            lines += [
                "",
                f"![{alt}]({name}.png)",
                "",
                f"{text} From {link}: [{name}.svg]({name}.svg), [{name}.csv]({name}.csv).",
            ]
    write_whole(root / "figures" / "README.md", "\n".join([*lines, ""]).encode())


if __name__ == "__main__":
    sys.exit(main())
