"""The house keeps its floors: imports point downwards, rules are arithmetic, rooms are on the map."""

import ast
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "momentum_lib"

#: Which room stands on which floor is written in pyproject.toml, as a contract of import-linter.
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
LAYERS = LINTER["contracts"][0]["layers"]
FLOOR = {room: number for number, layer in enumerate(reversed(LAYERS)) for room in layer.split(" : ")}
#: The libraries that importing a room of a floor may load. What a function imports when it runs is its
#: own affair, except on floor 0.
MAY_LOAD = [
    set(),
    {"numpy", "scipy"},
    {"numpy", "scipy"},
    {"numpy", "scipy", "pandas"},
    {"numpy", "scipy", "pandas", "matplotlib"},
    set(),
]
#: What single rooms may load besides.
ALSO = {
    "course": {"numpy", "scipy", "matplotlib", "pandas", "sympy", "mistune", "latex2mathml"},
    "execution": {"jupyter_client", "nbclient", "nbformat", "psutil"},
    "conversions": {"sympy"},
    "identification": {"sympy"},
    "symbolic": {"sympy"},
    "adapters": {"jax", "optax", "torch", "PEPit"},
    "learning": {"jax", "optax", "sklearn"},
}

STATEMENTS = 500  # lines of code without docstrings and comments: a longer file holds more than one idea
BYTES = 1_000_000  # of any committed file


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


SOURCES = {
    path.relative_to(LIBRARY): tree_of(path)
    for path in sorted(LIBRARY.rglob("*.py"))
    if path != LIBRARY / "__init__.py"
}
PUBLIC = {
    alias.name
    for path in LIBRARY.rglob("*.pyi")
    for node in tree_of(path).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}
RULES = SOURCES[Path("rules.py")]


def room_of(path):
    """The module or package on the map that a source file belongs to."""
    return path.parts[0].removesuffix(".py")


def loaded(nodes, late=False):
    """Libraries that a module loads: not those under TYPE_CHECKING, nor, unless `late`, inside functions."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from loaded(node.orelse, late)
        elif late or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from loaded(ast.iter_child_nodes(node), late)


def committed():
    """Files under version control; without git, all that .gitignore lets through."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout
    except FileNotFoundError:
        listed = ""
    if listed:
        return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()] + [".git"]
    files = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return [f for f in files if not any(fnmatch(part, pattern) for part in f.parts for pattern in ignored)]


def test_imports_point_downwards():
    """Every room has a floor; an arrow points down, or sideways in no cycle (pyproject.toml)."""
    pytest.importorskip("importlinter")
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_import_loads_only_what_its_floor_may():
    for path, tree in SOURCES.items():
        floor = FLOOR[room := room_of(path)]
        allowed = {"momentum_lib", "lazy_loader", *MAY_LOAD[floor], *ALSO.get(room, ())}
        allowed |= sys.stdlib_module_names
        assert not set(loaded([tree], late=floor == 0)) - allowed, path


def test_the_environment_is_read_in_one_place():
    """The settings of an execution: `collection` reads them; kernels and graders are handed them."""
    found = {str(path) for path, tree in SOURCES.items() if "os.environ" in ast.unparse(tree)}
    assert found == {"collection.py", "execution.py", "course/sandbox.py"}


# rules.py: arithmetic alone, so that one text runs on arrays, symbols and PEPit's points.


def faults(tree):
    """What keeps a text of rules from running on every algebra."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()):
                yield f"line {node.lineno}: {node.value} is a float; let a name take part"
            case ast.If() | ast.IfExp() | ast.Compare() | ast.BoolOp() | ast.While():
                yield f"line {node.lineno}: a branch; symbols have no truth value"
            case ast.AugAssign():
                yield f"line {node.lineno}: an in-place operator; it would change the caller's array"
            case ast.BinOp(op=ast.Div() | ast.FloorDiv()) if literal(node.left) and literal(node.right):
                yield f"line {node.lineno}: {ast.unparse(node)} is a float; let a name take part"
            case ast.BinOp(op=ast.Pow()) if literal(node.left) and literal(node.right):
                yield f"line {node.lineno}: {ast.unparse(node)} may be a float; let a name take part"
    for step in ast.walk(tree):
        if isinstance(step, ast.FunctionDef) and any(is_rule(d) for d in step.decorator_list):
            yield from (f"{step.name}: {ast.unparse(n)}" for n in step_nodes(step) if not arithmetic(n))


def literal(node):
    return not any(isinstance(n, ast.Name | ast.Call) for n in ast.walk(node))


def is_rule(decorator):
    return ast.unparse(decorator) == "rule" or ast.unparse(decorator).endswith(".first")


def step_nodes(step):
    """The nodes of a step's body, docstring aside."""
    body = step.body[1:] if ast.get_docstring(step) is not None else step.body
    return [node for statement in body for node in ast.walk(statement)]


def arithmetic(node):
    match node:
        case ast.Call(func=ast.Name(id="grad")):
            return True
        case ast.Call():
            return False
        case ast.Constant(value=int()):
            return True
    plain = (ast.Assign, ast.Return, ast.Tuple, ast.Name, ast.expr_context, ast.BinOp, ast.UnaryOp, ast.USub)
    return isinstance(node, (*plain, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow))


def test_rules_import_only_definition():
    imports = [node for node in ast.walk(RULES) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {ast.unparse(node).split(" import ")[0] for node in imports} == {"from momentum_lib.definition"}


def test_rules_are_arithmetic():
    assert not list(faults(RULES))


@pytest.mark.parametrize(
    "line",
    [
        "v = 0.5 * v",
        "v = 7 / 10 * v",
        "v = 2**-1 * v",
        "v = v if gamma else 0",
        "v += grad(theta)",
        "v = abs(v)",
        "v = np.sqrt(v)",
        "v = gamma @ v",
        "v = [v]",
    ],
)
def test_a_rule_beyond_arithmetic_is_seen(line):
    text = "@rule\ndef bad(theta, v, grad, *, gamma):\n    'Card.'\n    {}\n    return theta - v, v\n"
    assert list(faults(ast.parse(text.format(line))))
    assert not list(faults(ast.parse(text.format("v = 49 * gamma / (100 * gamma**2) * v - grad(-theta)"))))


# Names, sizes, rooms.


def test_no_module_bears_a_public_name():
    stems = {part.removesuffix(".py") for path in SOURCES for part in path.parts}
    assert not stems & PUBLIC


def test_no_catch_all_rooms():
    barred = {"utils", "util", "helpers", "misc", "common", "src", "scripts"}
    assert not [path for path in committed() if barred & {part.split(".")[0] for part in path.parts}]


def statements(path):
    """Lines of code as Python itself would print them, docstrings aside."""
    tree = tree_of(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body[0] = ast.Pass()
    return sum(bool(line.strip()) for line in ast.unparse(tree).splitlines())


def test_no_file_outgrows_its_idea():
    paths = committed()
    large = {path: (ROOT / path).stat().st_size for path in paths}
    long = {path: statements(ROOT / path) for path in paths if path.suffix == ".py"}
    assert not {path: size for path, size in large.items() if size > BYTES}
    assert not {path: count for path, count in long.items() if count > STATEMENTS}, "split it by idea"


README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_top_level_holds_what_the_map_says():
    section = README.split("## The map of rooms")[1].split("\n### ")[0]
    on_map = {name.split("/")[0] for name in re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)}
    assert {path.parts[0] for path in committed()} == on_map


def test_map_of_the_library_is_true():
    section = README.split("### Inside `momentum_lib`")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d) \| `(\w+)(?:\.py|/)`", section, flags=re.MULTILINE)
    rooms = {room_of(path) for path in SOURCES}
    assert {name: int(floor) for floor, name in rows} == {room: FLOOR[room] for room in rooms}
