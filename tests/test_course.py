"""A course from the collection: its exercises, sheets with a student's own numbers, and their grading."""

import csv
import errno
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from momentum_lib import exercises as checks
from momentum_lib.cli import main
from momentum_lib.collection import Execution, notebooks, output_texts
from momentum_lib.course import copies, plans
from momentum_lib.course.numbers import OWN, Draw
from momentum_lib.course.questions import _free as free
from momentum_lib.course.questions import choose, exercises

ROOT = Path(__file__).resolve().parent.parent
KNOWN = [exercise for notebook in notebooks(ROOT) for exercise in exercises(notebook)]
NAMED = {exercise.name: exercise for exercise in KNOWN}
ASKED = ("02.1", "02.2", "02.3", "04.3", "16.2")

# ------------------------------------------------------------------------------------------ exercises


def test_every_check_is_asked_by_one_exercise():
    asked = sorted(exercise.check for exercise in KNOWN if exercise.check)
    assert asked == sorted(name for name in dir(checks) if name.startswith("check_"))


@pytest.mark.parametrize("name", OWN)
def test_own_numbers_have_their_right_answer_and_no_other_students(name):
    exercise, own = NAMED[name], OWN[name]
    drawn = [own.draw(Draw(f"2026 student-{k} {exercise.id}")) for k in range(6)]
    check = getattr(checks, exercise.check)
    for numbers in drawn:
        assert (verdict := check(*own.solve(**numbers), **numbers)), (numbers, verdict)
        assert own.task(exercise.task, numbers) != exercise.task
    pairs = [(a, b) for a, b in itertools.permutations(drawn, 2) if a != b]
    accepted = sum(bool(check(*own.solve(**a), **b)) for a, b in pairs)
    # Where the answer is a range, neighbours overlap; copying fails for most of them still.
    assert accepted <= (0.6 if name in ("repair", "way_home", "overshoot", "first_try") else 0.25) * len(
        pairs
    )


def test_a_task_that_no_longer_says_its_numbers_is_refused():
    with pytest.raises(ValueError, match="says '19/100' 0 times"):
        OWN["critical_nesterov"].task("Another text.", {"h": 0.2})


@pytest.mark.parametrize(
    "ids, message",
    [
        (["02.7"], "Exercise 02.7 does not exist; near it are 02.1, 02.2, 02.3"),
        (["07.3"], "Exercise 07.3 has no check; near it are 07.1, 07.2"),
        (["99"], "Exercise 99 does not exist; near it are 00.1, 16.3"),
        (["21"], "Exercise 21 does not exist"),
        ([], "Name at least one exercise"),
    ],
)
def test_an_exercise_that_does_not_exist_is_refused_with_near_ones(ids, message):
    with pytest.raises(ValueError, match=message):
        choose(ids, KNOWN)


def test_a_number_alone_means_a_whole_notebook():
    assert [e.id for e in choose(["2", "06.1"], KNOWN)] == ["02.1", "02.2", "02.3", "06.1"]


# --------------------------------------------------------------------------------------------- sheets


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in; the command finds the collection from where it runs."""
    monkeypatch.chdir(ROOT)
    return tmp_path


def roster(place, *lines):
    (place / "class.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(place / "class.csv")


def hand_out(place, students, out="assignment", asked=ASKED, term="2026"):
    file = roster(place, "id,name", *(f"{student}," for student in students))
    arguments = ["course", "sheet", *asked, "--roster", file, "--term", term, "--out", str(place / out)]
    assert main(arguments) == 0
    return place / out


def tree(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_roster_gives_the_same_sheets_and_another_year_others(place):
    one, two = (tree(hand_out(place, ["ada", "bob"], out)) for out in ("one", "two"))
    assert one == two
    other = tree(hand_out(place, ["ada", "bob"], "three", term="2027"))
    assert other[Path("key.csv")] != one[Path("key.csv")]
    assert len({text for name, text in one.items() if name.name == "sheet.ipynb"}) == 2


def test_a_student_keeps_the_numbers_when_the_class_grows(place):
    name = Path("sheets/ada/sheet.ipynb")
    assert tree(hand_out(place, ["ada"], "one"))[name] == tree(hand_out(place, ["bob", "ada"], "two"))[name]


@pytest.mark.parametrize(
    "lines, message",
    [
        (["id,name", "ada,A", "Ada,B"], "line 3: the id 'Ada' stands in line 2, too"),
        (["id,name", "ada,A", ",B"], "line 3: the id is missing"),
        (["id,name", "zoë,Z"], "line 2: the id 'zoë' is to name a folder"),
        (["id,name", "../x,Z"], "is to name a folder"),
        (["id,name"], "has no student"),
        (["name", "ada"], "has no column 'id'"),
    ],
)
def test_a_bad_roster_is_refused_and_nothing_is_written(place, capsys, lines, message):
    file = roster(place, *lines)
    assert main(["course", "sheet", "02", "--roster", file, "--out", str(place / "out")]) == 2
    assert message in capsys.readouterr().err
    assert {path.name for path in place.iterdir()} == {"class.csv"}


@pytest.mark.parametrize(
    "out, message", [("full", "is there already"), ("class.csv/out", "cannot be written (File exists)")]
)
def test_a_folder_that_cannot_be_written_is_refused(place, capsys, out, message):
    (place / "full").mkdir()
    (place / "full" / "kept").touch()
    before = tree(place)
    file = roster(place, "id", "ada")
    assert main(["course", "sheet", "02", "--roster", file, "--out", str(place / out)]) == 2
    assert message in capsys.readouterr().err
    assert set(tree(place)) - set(before) == {Path("class.csv")}


# ------------------------------------------------------------------------------------------- grading


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("--jobs", "0", "--jobs is 0; give a whole number of at least 1"),
        ("--seconds", "-1", "--seconds is -1.0; give one finite number above 0"),
        ("--seconds", "nan", "--seconds is nan"),
    ],
)
def test_jobs_and_seconds_that_grade_nothing_are_refused(place, capsys, option, value, message):
    assert main(["course", "grade", str(place), option, value]) == 2
    assert message in capsys.readouterr().err


FUNCTIONS = {
    "02.3": "def my_ball(m, c, dt):\n    d = m + c * dt / 2\n    return dt**2 / d, (m - c * dt / 2) / d",
    "04.3": "@rule\ndef flat_rule(theta, v, grad, *, eta, gamma):\n"
    "    v = gamma * v + eta * grad(theta - gamma * v / 2)\n    return theta - v, v",
}


def answers(student, term="2026"):
    """What an honest student writes into each cell."""
    written = dict(FUNCTIONS)
    for id, name, cell in (("02.1", "by_hand", "my_theta = {!r}"), ("02.2", "same_speed", "my_eta = {!r}")):
        (right,) = OWN[name].solve(**OWN[name].draw(Draw(f"{term} {student} {id}")))
        written[id] = cell.format(right)
    (repaired,) = OWN["repair"].solve(**OWN["repair"].draw(Draw(f"{term} {student} 16.2")))
    letters = {letter: float(value) for letter, value in repaired.setting.items()}
    written["16.2"] = f"from momentum_lib import heavy_ball\nmy_repair = heavy_ball.at(**{letters})"
    return written


def hand_in(folder, student, written, *, sheet_of=None, change=lambda notebook: None, name="sheet.ipynb"):
    """A submission: a sheet with its answers written into it, and changed otherwise."""
    notebook = json.loads((folder / "sheets" / (sheet_of or student) / "sheet.ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        kind, _, id = cell["id"].partition("-")
        if kind == "answer" and id.replace("-", ".") in written:
            cell["source"] = [written[id.replace("-", ".")]]
    change(notebook)
    target = folder / "submitted" / student / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(notebook), "utf-8")


def every(text):
    """The same lines in front of every answer, however honest."""
    return lambda student: {id: f"{text}\n{cell}" for id, cell in BLANK.items()}


BLANK = {e.id: e.answer for e in choose(ASKED, KNOWN)}
REBINDS = """
class Yes:
    def __getattr__(self, name):
        return lambda *a, **k: True
exercises = Yes()
"""
PATCHES = """
import gc, sys, momentum_lib, momentum_lib.exercises as e, momentum_lib.exercises.verdict as v
from momentum_lib.course import sandbox
v.Verdict.__bool__ = lambda self: True
for name in dir(e):
    setattr(e, name, lambda *a, **k: v.Verdict(True, "yes"))
sandbox.Wire.encode = lambda self, value: {"mine": 0}
"""
EQUALS = """
class Always(float):
    def __eq__(self, other): return True
    __lt__ = __gt__ = __le__ = __ge__ = __ne__ = __eq__
    __hash__ = float.__hash__
    def __abs__(self): return 0.0
    __sub__ = __rsub__ = __truediv__ = __rtruediv__ = lambda self, other: Always(0)
    numerator, denominator = 0, 1
"""
PEEKS = """
def my_ball(*asked):
    import sys
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()):
            if isinstance(value, tuple) and len(value) == 2:
                found = value
        frame = frame.f_back
    return found
"""
WRITES = """
import os
for folder, _, files in os.walk({folder!r}):
    for name in files:
        try:
            with open(os.path.join(folder, name), "w") as file:
                file.write("id,points\\n{student},100")
        except OSError:
            pass
"""
ENDLESS = "import time\nwhile True:\n    time.sleep(1)"  # as endless as a busy loop, and others get on
WHEN_ASKED = "import time\ndef my_ball(*_):\n    while True:\n        time.sleep(1)"
ALWAYS = {"02.1": f"{EQUALS}my_theta = Always()", "02.2": "my_eta = Always()", "16.2": "my_repair = Always()"}
#: What a student writes besides the honest answers, or instead; points out of five; a note in the table.
KINDS = {
    "honest": (lambda student: answers(student), 5, ""),
    "blank": (lambda student: {}, 0, ""),
    "half": (lambda student: {k: v for k, v in answers(student).items() if k < "03"}, 3, ""),
    "raises": (lambda student: answers(student) | {"02.1": "1 / 0"}, 4, ""),
    "misspelled": (lambda student: answers(student) | {"02.2": "my_eta = ="}, 4, ""),
    "exits": (lambda student: answers(student) | {"04.3": "import os\nos._exit(0)"}, 3, "it crashed"),
    "aborts": (lambda student: answers(student) | {"02.1": "import os\nos.abort()"}, 0, "it crashed"),
    "endless": (lambda student: answers(student) | {"02.2": ENDLESS}, 1, "endless loop"),
    "endless-when-asked": (lambda student: answers(student) | {"02.3": WHEN_ASKED}, 2, "endless loop"),
    "hoards": (lambda student: answers(student) | {"02.1": "x = bytearray(8 << 30)"}, 4, ""),
    "cheats-rebinding": (every(REBINDS), 0, ""),
    "cheats-patching": (every(PATCHES), 0, ""),
    "cheats-equal-to-all": (lambda student: ALWAYS, 0, ""),
    "cheats-peeking": (lambda student: {"02.3": PEEKS}, 0, ""),
    "cheats-writing": (lambda student: {"02.1": WRITES.format(folder=FOLDER[0], student=student)}, 0, ""),
}
FOLDER = [""]


def graded(folder):
    with (folder / "grades.csv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def fake_class(tmp_path_factory):
    """One student of each kind, and one who hands in the sheet of the honest one; graded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        place = tmp_path_factory.mktemp("class")
        folder = hand_out(place, [*KINDS, "copies", "absent"])
        FOLDER[0] = str(folder)
        for kind, (written, _, _) in KINDS.items():
            hand_in(folder, kind, written(kind))
        hand_in(folder, "copies", answers("honest"), sheet_of="honest")
        assert main(["course", "grade", str(folder), "--seconds", "8", "--jobs", "4"]) == 0
        return folder


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_student_gets_what_it_earned_and_no_more(fake_class, kind):
    row = graded(fake_class)[kind]
    _, points, note = KINDS[kind]
    assert (int(row["points"]), note in row["notes"]) == (points, True), row
    assert f"{points} of 5" in (fake_class / "feedback" / f"{kind}.html").read_text("utf-8")


def test_copied_numbers_are_wrong_and_copied_lines_are_named(fake_class):
    rows = graded(fake_class)
    assert [rows["copies"][id] for id in ASKED[:4]] == ["0", "0", "1", "1"]  # 02.3 and 04.3 have no numbers
    assert "handed in on the sheet of honest" in rows["copies"]["notes"]
    assert "04.3: same lines as" in rows["copies"]["notes"] and "honest" in rows["copies"]["notes"]
    assert "same lines" not in rows["blank"]["notes"]
    assert rows["absent"]["notes"] == "nothing handed in"


def test_a_second_grading_takes_up_what_is_there(fake_class, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    before = tree(fake_class)
    times = {p: p.stat().st_mtime_ns for p in (fake_class / "graded").iterdir()}
    (fake_class / "grades.csv").unlink()
    (fake_class / "graded" / "blank.json").write_text("{")  # as a kill might leave it
    assert main(["course", "grade", str(fake_class), "--seconds", "8"]) == 0
    assert tree(fake_class) == before
    now = {p: p.stat().st_mtime_ns for p in (fake_class / "graded").iterdir()}
    assert [p.stem for p in now if now[p] != times[p]] == ["blank"]


@pytest.mark.whole
def test_two_hundred_students_are_graded_rightly(tmp_path, monkeypatch, capsys):
    """Ninety honest, the rest of every kind; killed once half way, and taken up."""
    monkeypatch.chdir(ROOT)
    kinds = ["honest"] * 90 + ["blank", "half", "raises"] * 16 + list(KINDS)[4:] * 5
    kinds = {f"s{k:03}": kind for k, kind in enumerate([*kinds, *["half"] * (200 - len(kinds))])}
    folder = hand_out(tmp_path, kinds)
    FOLDER[0] = str(folder)
    for student, kind in kinds.items():
        hand_in(folder, student, KINDS[kind][0](student))
    command = [Path(sys.executable).with_name("momentum"), "course", "grade", folder, "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        for _ in range(60):  # lines
            assert first.stdout.readline()
        first.kill()
    assert main([*command[1:3], str(folder), "--jobs", "2"]) == 0
    rows = graded(folder)
    assert {s: int(rows[s]["points"]) for s in kinds} == {s: KINDS[kind][1] for s, kind in kinds.items()}


def remove(kind):
    def change(notebook):
        notebook["cells"] = [cell for cell in notebook["cells"] if not cell["id"].startswith(kind)]

    return change


def plain(notebook):
    """As a tool leaves it that drops metadata and ids."""
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"], cell["id"] = {}, f"cell-{number}"


def tampered(notebook):
    (cell,) = (cell for cell in notebook["cells"] if cell["id"] == "check-02-1")
    cell["source"] = ["exercises.check_by_hand(my_theta, eta=Fraction(1, 4))"]


@pytest.mark.parametrize(
    "change, name, points, note",
    [
        (remove("answer-02-1"), "sheet.ipynb", 4, ""),
        (remove("check"), "sheet.ipynb", 5, ""),
        (lambda notebook: (remove("check-02-2")(notebook), remove("answer-02-2")(notebook)), "sheet.ipynb", 4,
         "02.2: cells missing"),
        (plain, "sheet.ipynb", 5, ""),
        (tampered, "sheet.ipynb", 5, "02.1: check cell changed"),
        (lambda notebook: None, "My homework (final).ipynb", 5, ""),
        (lambda notebook: notebook["metadata"]["momentum"]["sheet"].update(term="2025"), "sheet.ipynb", 0,
         "a sheet of 2025, not of 2026"),
        (lambda notebook: notebook.pop("cells"), "sheet.ipynb", 0, "is not a notebook"),
    ],
)  # fmt: skip
def test_a_damaged_submission_costs_its_own_line_and_no_more(place, change, name, points, note):
    folder = hand_out(place, ["ada"])
    hand_in(folder, "ada", answers("ada"), change=change, name=name)
    assert main(["course", "grade", str(folder), "--jobs", "1"]) == 0
    row = graded(folder)["ada"]
    assert (int(row["points"]), note in row["notes"]) == (points, True), row


def test_a_file_is_found_by_folder_by_name_or_by_what_it_says(place):
    folder = hand_out(place, ["ada", "bob", "cy"], asked=("02.2",))
    for student in ("ada", "bob", "cy"):
        hand_in(folder, student, answers(student))
    sent = folder / "submitted"
    shutil.move(sent / "bob" / "sheet.ipynb", sent / "Bobs_bob_12.ipynb")
    shutil.move(sent / "cy" / "sheet.ipynb", sent / "untitled.ipynb")
    (sent / "stray.ipynb").write_text("{}")
    assert main(["course", "grade", str(folder), "--jobs", "2"]) == 0
    rows = graded(folder)
    assert [rows[student]["points"] for student in ("ada", "bob", "cy")] == ["1", "1", "1"]
    assert "stray.ipynb: nobody's" in rows[""]["notes"]


def test_a_folder_without_sheets_cannot_be_graded(place, capsys):
    assert main(["course", "grade", str(place)]) == 2
    assert "give the folder that `momentum course sheet` has written" in capsys.readouterr().err


def test_a_name_is_no_formula_of_a_spreadsheet():
    from momentum_lib.course.grading import _inert

    assert [_inert(v) for v in ("=1+1", "@x", "-a", "ada", 3)] == ["'=1+1", "'@x", "'-a", "ada", 3]


THROUGH_THE_WIRE = """
import ast
from momentum_lib import exercises
from momentum_lib.course.bank import bank
from momentum_lib.course.sandbox import Limits, Step, running

for name, answers in sorted(bank().items(), key=lambda item: item[0] == "backward"):  # JAX bears no fork
    texts = [answers.right[0], *(text for text, _ in answers.wrong)]
    calls = [ast.parse(f"f({text})").body[0].value.args for text in texts]
    steps = [Step(answers.given)] + [Step("", name, tuple(map(ast.unparse, call))) for call in calls]
    told = []
    with running(steps, Limits(60)) as wire:
        for text in texts:
            message = wire.receive()
            assert "values" in message, (name, text, message)
            told.append(getattr(exercises, f"check_{name}")(*wire.decode(message["values"])))
            wire.wait(60)
            wire.send({"go": True})
    for text, verdict in zip(texts, told, strict=True):
        here = answers.verdict(text)
        same = verdict.text == here.text or "could not be used" in here.text or "<" in here.text
        if verdict.right != here.right or not same:
            print(f"{name}({text}): {verdict} | {here}")
"""


def test_a_check_says_the_same_of_an_answer_that_stays_in_another_process(tmp_path):
    """Rules and functions are called over a wire, by symbols, arrays, probes and keys of JAX."""
    pytest.importorskip("jax", reason="needs jax (extra learning)")
    command = [sys.executable, "-c", THROUGH_THE_WIRE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


# -------------------------------------------------------------------------------------------- copies

FOUND = notebooks(ROOT)


def text_of(cell):
    return "".join(cell["source"])


def solutions():
    return [text_of(cell) for exercise in KNOWN for cell in exercise.solutions if len(text_of(cell)) > 40]


@pytest.mark.parametrize("notebook", FOUND, ids=lambda notebook: notebook.stem)
def test_a_students_copy_has_no_solution_and_every_name_it_reads(notebook):
    made = copies.student(notebook)
    whole = json.dumps(made, ensure_ascii=False)
    assert not [text for text in solutions() if json.dumps(text, ensure_ascii=False)[1:-1] in whole]
    assert not re.search(r"\*\*Solution|<b>Solution|hide-cell", whole)
    code = "\n".join(text_of(cell) for cell in made["cells"] if cell["cell_type"] == "code")
    assert set(free(re.sub(r"^\s*[%!].*$", "", code, flags=re.MULTILINE))) <= {"display"}
    nbformat.validate(nbformat.from_dict(made))
    mine = [exercise for exercise in KNOWN if exercise.notebook.stem == notebook.stem]
    assert [text_of(c) for c in made["cells"] if c["id"].startswith("answer-")] == [e.answer for e in mine]
    ids = [cell["id"] for cell in made["cells"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("number", ["00", "02", "09", "16"])
def test_a_students_copy_runs_from_top_to_bottom(place, number):
    copies.write_student(ROOT, [n for n in FOUND if n.number == number], place / "copy")
    (file,) = (place / "copy" / "notebooks").glob("*.ipynb")
    node = nbformat.read(file, 4)
    env = os.environ | Execution(notebook=file.stem).variables
    folder = {"metadata": {"path": str(file.parent)}}
    NotebookClient(node, timeout=300, kernel_name="python3", resources=folder).execute(env=env)
    verdicts = ["".join(output_texts(cell)) for cell in node.cells if cell["id"].startswith("check-")]
    assert verdicts and all(text.startswith("Not yet: ") for text in verdicts)


@pytest.mark.parametrize("notebook", FOUND, ids=lambda notebook: notebook.stem)
def test_an_instructors_copy_has_solutions_misreadings_and_plans(notebook):
    made = copies.instructor(notebook)
    nbformat.validate(nbformat.from_dict(made))
    texts = [text_of(cell) for cell in made["cells"]]
    mine = [exercise for exercise in KNOWN if exercise.notebook.stem == notebook.stem]
    for exercise in mine:
        assert all(text_of(c) in texts for c in exercise.solutions if c["cell_type"] == "code")
    tables = [text for text in texts if text.startswith("**Common misreadings**")]
    assert len(tables) == sum(bool(exercise.check) for exercise in mine)
    assert "**60 minutes**" in texts[1] and "hide-cell" not in json.dumps(made)


@pytest.mark.parametrize("notebook", FOUND, ids=lambda notebook: notebook.stem)
def test_a_plan_names_sections_and_figures_there_are_and_keeps_its_time(notebook):
    there = plans.sections(notebook)
    assert sorted(plans.MOST_WANTED[notebook.number]) == [section.number for section in there]
    assert {name for section in there for name in section.figures} <= set(notebook.figures)
    counts = []
    for length in plans.LENGTHS:
        chosen, asked = plans.plan(notebook, length)
        minutes = sum(section.minutes for section in chosen) + 6 * len(asked)
        assert minutes <= length and (minutes > 0.6 * length or len(chosen) == len(there))
        counts.append(len(chosen) + len(asked))
    assert counts == sorted(counts)


@pytest.mark.parametrize("kind", ["student", "instructor"])
def test_copies_are_written_whole_or_not_at_all(place, monkeypatch, kind, capsys):
    def fails(*_):
        raise OSError(errno.ENOSPC, "no space left", "out")

    monkeypatch.setattr(copies, "write_notebook", fails)
    assert main(["course", kind, str(place / "out")]) != 0
    assert "no space left" in capsys.readouterr().err and not list(place.iterdir())


@pytest.mark.filterwarnings("default")  # its own, of its database
def test_nbgrader_releases_validates_and_autogrades_a_notebook(place, monkeypatch):
    """In an environment that has nbgrader (`pip install nbgrader`); it is in no extra, being heavy."""
    pytest.importorskip("nbgrader", reason="needs nbgrader (pip install nbgrader)")
    from nbgrader.apps import NbGraderAPI
    from nbgrader.validator import Validator
    from traitlets.config import Config

    copies.write_instructor(ROOT, [n for n in FOUND if n.number == "02"], place / "out")
    course, name = place / "out" / "nbgrader", "02_add_momentum"
    config = Config()
    config.CourseDirectory.root, config.ClearSolutions.enabled = str(course), False
    beside = str(Path(sys.executable).parent)  # nbgrader calls alembic
    monkeypatch.setenv("PATH", beside, prepend=os.pathsep)
    api = NbGraderAPI(config=config)
    assert api.generate_assignment(name)["success"]
    released = (course / "release" / name / f"{name}.ipynb").read_text("utf-8")
    assert "exercises.check_by_hand(my_theta)" in released
    node = nbformat.reads(released, 4)
    blank = Validator().validate(str(course / "release" / name / f"{name}.ipynb"))
    (cell,) = (cell for cell in node.cells if cell["id"] == "answer-02-1")
    cell["source"] = "my_theta = Fraction(155, 576)"
    shutil.copytree(course / "release" / name, course / "submitted" / "ada" / name)
    handed = course / "submitted" / "ada" / name / f"{name}.ipynb"
    nbformat.write(node, handed)
    answered = Validator().validate(str(handed))
    stopped = [[cell["source"].split("(")[0] for cell in told["failed"]] for told in (blank, answered)]
    assert stopped[0] == ["verdict = exercises.check_by_hand", *stopped[1]] and stopped[1], stopped
    told = api.autograde(name, "ada")
    assert told["success"], told
    with api.gradebook as book:
        assert book.find_submission(name, "ada").score == 1


# ------------------------------------------------------------------------------- templates and projects

TEMPLATES = sorted((ROOT / "templates").glob("*.py"))
PROJECTS = (ROOT / "momentum_lib" / "course" / "projects.md").read_text("utf-8").split("\n## ")[1:]


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.stem)
def test_a_template_runs_under_a_name_of_ones_own(tmp_path, file):
    if file.stem == "task":
        pytest.importorskip("jax", reason="needs jax (extra learning)")
    own = tmp_path / f"own_{file.stem}.py"
    own.write_text(file.read_text("utf-8").replace("my_", "own_").replace("My", "Own"), "utf-8")
    env = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", own], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name in re.findall(r"\bown_\w+\.(?:html|png)", done.stdout):
        assert (tmp_path / name).stat().st_size > 10_000


def test_a_notebook_begun_from_the_template_is_reproduced_and_keeps_the_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.momentum]\n")
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "templates" / "notebook.ipynb", tmp_path / "notebooks" / "17_try_it.ipynb")
    assert main(["reproduce"]) == 0
    (made,) = notebooks(tmp_path)
    assert made.headings[-5:] == ["Exercises", "In practice", "What we learned", "Further reading", "Next"]
    assert (tmp_path / "figures" / f"{made.figures[0]}.csv").is_file()
    assert [exercise.check for exercise in exercises(made)] == ["check_overshoot"]
    assert made.sources("code")[0] == FOUND[0].sources("code")[0]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda text: text.split(".")[0])
def test_a_project_says_what_a_good_answer_holds_and_its_beginning_runs(project):
    assert "A good answer holds: " in project
    (code,) = re.findall(r"```python\n(.*?)```", project, re.DOTALL)
    exec(code, {})


def test_there_are_ten_projects():
    assert [text.split(".")[0] for text in PROJECTS] == [str(k) for k in range(1, 11)]


# ------------------------------------------------------------------------------------- slides and print

#: The gate looks at three; the rest is looked at by `pytest --whole`.
SAMPLED = [
    pytest.param(n, id=n.number, marks=[] if n.number in ("02", "10", "15") else pytest.mark.whole)
    for n in FOUND
]
OVERFLOWS = """() => [...document.querySelectorAll('.slide')].flatMap((slide, number) => {
    const body = slide.querySelector('.body');
    const over = [slide, body, ...body.children].some(
        e => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1);
    const size = parseFloat(getComputedStyle(body).fontSize);
    return over || size < 16 || slide.querySelectorAll('img').length > 1 ? [`${number + 1}: ${size} px`] : [];
})"""
WIDE = """() => [...document.querySelectorAll('body *')].filter(e => e.clientWidth > 0
    && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display != 'inline' && !e.closest('math')
    ).map(e => e.textContent.slice(0, 60))"""


@pytest.fixture
def opened(browser, place):
    """A page with every request but for the file itself counted."""
    pages = []

    def see(kind, number, **size):
        assert main(["course", kind, number, "--out", str(place)]) == 0
        (file,) = place.glob("*.html")
        page = browser.new_page(viewport=size)
        pages.append(page)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.emulate_media(media="print" if kind == "print" else "screen")
        page.goto(file.as_uri())
        page.wait_for_function("document.readyState == 'complete'")
        assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
        return page

    yield see
    for page in pages:
        page.close()


@pytest.mark.parametrize("notebook", SAMPLED)
def test_a_slide_holds_one_picture_and_nothing_overflows(opened, notebook):
    page = opened("slides", notebook.number, width=1280, height=720)
    assert page.evaluate(OVERFLOWS) == []
    shown = page.evaluate("document.querySelectorAll('.slide.picture').length")
    assert shown >= len({name for section in plans.sections(notebook) for name in section.figures})


@pytest.mark.parametrize("notebook", SAMPLED)
def test_print_has_no_imports_no_solutions_and_no_cut_lines(opened, notebook):
    page = opened("print", notebook.number, width=680, height=1000)
    assert page.evaluate(WIDE) == []
    text = page.evaluate("document.body.innerText")
    assert not re.search(r"^(import |from \w+ import)", text, flags=re.MULTILINE) and not re.search(
        r"^Solution", text, re.M
    )


def test_the_keys_turn_the_slides(opened):
    page = opened("slides", "02", width=1280, height=720)
    for key, where in (("ArrowRight", 1), ("PageDown", 2), ("ArrowLeft", 1), (" ", 2)):
        page.keyboard.press(key)
        page.wait_for_function(f"Math.round(scrollY / innerHeight) == {where}")


def test_a_notebook_that_does_not_exist_has_no_slides(place, capsys):
    assert main(["course", "slides", "99", "--out", str(place)]) == 2
    assert "There is no notebook '99'" in capsys.readouterr().err
