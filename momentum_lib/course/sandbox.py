"""A submission in a process of its own, and a wire to what it answers.

The process has no network, writes nowhere but in a folder that vanishes, and ends when its time or memory is
used up: as far as the system allows, which `guards` tells. Nothing of it is unpickled. Numbers and arrays
come over the wire as data. A function or a rule stays where it is, and the check calls it over the wire; so
whatever a student does to `exercises` or to the library is done in the student's process alone.
"""

from __future__ import annotations

import base64
import ctypes
import inspect
import json
import multiprocessing
import multiprocessing.context
import numbers
import operator
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np

from momentum_lib.collection import Execution, parse_cell
from momentum_lib.definition import Rule

__all__ = ["Limits", "Lost", "Step", "Wire", "guards", "running"]

#: What a submission may do to a value that lives on the other side.
_OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = {
    name: getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "pow", "neg", "pos")
}
_BYTES: Final = 20_000_000  # of one message
_BITS: Final = 10_000  # of a whole number: more makes arithmetic slow


class Lost(ConnectionError):  # noqa: N818 - the verdict is the name
    """The submission ended, or its time did; the message says which."""


@dataclass(frozen=True)
class Limits:
    """Seconds from one check to the next, and bytes beyond what the libraries take."""

    seconds: float = 20.0
    memory: int = 1 << 30


@dataclass(frozen=True)
class Step:
    """One thing a submission does: run a cell, or, where `asks` is set, hand in what a check is given."""

    source: str
    asks: str = ""
    arguments: tuple[str, ...] = ()


class Far:
    """What lives on the other side: it can be called, and plain attributes be read."""

    def __init__(self, wire: Wire, number: int) -> None:
        self._wire, self._number = wire, number

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._wire.ask("call", self._number, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._wire.ask("read", self._number, (name,), {})
        except ValueError as error:
            raise AttributeError(str(error)) from None


class FarValue(Far):
    """What lives with the check, as a submission sees it: a symbol, say. It can be reckoned with, too."""

    #: An array asks us how it is multiplied, and not each of its entries.
    __array_ufunc__ = None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def _forwarded(name: str, *, swapped: bool = False) -> Callable[..., Any]:
    def operate(self: FarValue, *others: Any) -> Any:
        args = (*others, self) if swapped else (self, *others)
        return self._wire.ask("operate", 0, (name, *args), {})

    return operate


for _name in _OPERATIONS:
    setattr(FarValue, f"__{_name}__", _forwarded(_name))
    if _name not in ("neg", "pos"):
        setattr(FarValue, f"__r{_name}__", _forwarded(_name, swapped=True))


class Wire:
    """One end of the wire. Both ends speak alike; only the check's end does what it is asked to reckon.

    Parameters
    ----------
    connection : Connection
    deadline : float, optional
        Moment of `time.monotonic` at which waiting ends: that of the check's end.
    """

    def __init__(self, connection: Connection, deadline: float | None = None) -> None:
        self.connection, self.deadline = connection, deadline
        self.kept: list[Any] = []

    def wait(self, seconds: float) -> None:
        """Be patient for so long from now on."""
        self.deadline = time.monotonic() + seconds

    def send(self, message: dict[str, Any]) -> None:
        """Write one message."""
        try:
            self.connection.send_bytes(json.dumps(message).encode())
        except OSError:
            raise Lost("it crashed: its process ended.") from None

    def receive(self) -> dict[str, Any]:
        """Read one message.

        Raises
        ------
        Lost
            The other side is gone, speaks otherwise, or its time is up.
        """
        if self.deadline is not None and not self.connection.poll(max(0.0, self.deadline - time.monotonic())):
            raise Lost("it did not end in time: an endless loop?")
        try:
            message = json.loads(self.connection.recv_bytes(_BYTES))
        except (EOFError, OSError, ValueError, RecursionError):
            raise Lost("it crashed: its process ended.") from None
        if not isinstance(message, dict):
            raise Lost("it wrote into the wire.")
        return message

    def ask(self, verb: str, number: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Let the other side do something, and do meanwhile what it asks."""
        self.send(
            {"verb": verb, "on": number, "args": self.encode(args), "kwargs": self.encode(dict(kwargs))}
        )
        while True:
            message = self.receive()
            if "verb" in message:
                self.answer(message)
            elif "raised" in message:  # an error of the same name: a check may tell it
                kind, told = message["raised"]
                raise type(str(kind)[:60], (ValueError,), {})(str(told)[:300])
            elif "value" in message:
                return self.decode(message["value"])
            else:
                raise Lost("it wrote into the wire.")

    def answer(self, message: dict[str, Any]) -> None:
        """Do what the other side asks, and tell it what came out."""
        try:
            args, kwargs = self.decode(message["args"]), self.decode(message["kwargs"])
            made = self.encode(self.carry_out(message["verb"], message["on"], args, kwargs))
        except Lost:
            raise
        except BaseException as error:
            self.send({"raised": [type(error).__name__, str(error)[:300]]})
        else:
            self.send({"value": made})

    def carry_out(self, verb: str, on: int, args: Any, kwargs: Any) -> Any:
        """One request. Only arithmetic and calls of functions are granted to a submission."""
        if verb == "operate" and self.deadline is not None:
            return _OPERATIONS[args[0]](*args[1:])
        if verb == "call" and callable(self.kept[on]):
            return self.kept[on](*args, **kwargs)
        if verb == "read" and self.deadline is None:
            return getattr(self.kept[on], args[0])
        raise ValueError(f"{verb} is not granted.")

    def encode(self, value: Any) -> Any:
        """A value as JSON; what has no plain form stays here under a number."""
        match value:
            case None | bool() | str():
                return value
            case Far() if value._wire is self:
                return {"yours": value._number}
            case Fraction():
                return {"fraction": [self.encode(int(value.numerator)), self.encode(int(value.denominator))]}
            case list():
                return [self.encode(item) for item in value]
            case tuple():
                return {"tuple": [self.encode(item) for item in value]}
            case dict() if all(isinstance(key, str) for key in value):
                return {"dict": {key: self.encode(item) for key, item in value.items()}}
            case Rule():
                return {"rule": self._rule(value)}
        if type(value).__module__.split(".")[0] in ("numpy", "jaxlib", "jax"):
            return self._array(value)
        if isinstance(value, numbers.Integral) and _plain(value):
            return int(value) if int(value).bit_length() < _BITS else {"huge": True}
        if isinstance(value, float):
            return {"float": float(value).hex()}
        if isinstance(value, complex):
            return {"complex": [value.real.hex(), value.imag.hex()]}
        self.kept.append(value)
        return {"mine": len(self.kept) - 1, "takes": _signature(value)}

    def _array(self, value: Any) -> Any:
        if type(value).__module__.startswith("jax"):
            import jax

            if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
                return {"key": self._array(np.asarray(jax.random.key_data(value)))}
        array = np.asarray(value)
        if array.dtype.kind not in "biufc" or array.nbytes > _BYTES // 2:
            self.kept.append(value)
            return {"mine": len(self.kept) - 1}
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        told = {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}
        return {"scalar" if isinstance(value, np.generic) else "array": told}

    def _rule(self, rule: Rule) -> dict[str, Any]:
        base = rule.base
        own_first = base.first_step is not base.step
        return {
            "name": str(base.name), "slots": list(map(str, base.slots)), "hyper": list(map(str, base.hyper)),
            "set": self.encode(dict(rule.setting)),
            "step": self.encode(_Calls(base.step)),
            "first": self.encode(_Calls(base.first_step)) if own_first else None,
        }  # fmt: skip

    def decode(self, value: Any) -> Any:
        """The value a message tells."""
        if not isinstance(value, dict):
            return [self.decode(item) for item in value] if isinstance(value, list) else value
        kind, told = next(iter(value.items()))
        match kind:
            case "yours":
                return self.kept[told]
            case "mine":
                far = (Far if self.deadline is not None else FarValue)(self, int(told))
                if value.get("takes"):
                    parameters = [
                        inspect.Parameter(name, inspect._ParameterKind(k)) for name, k in value["takes"]
                    ]
                    vars(far)["__signature__"] = inspect.Signature(parameters)
                return far
            case "fraction":
                return Fraction(*told)
            case "tuple":
                return tuple(self.decode(item) for item in told)
            case "dict":
                return {key: self.decode(item) for key, item in told.items()}
            case "float":
                return float.fromhex(told)
            case "complex":
                return complex(*map(float.fromhex, told))
            case "array" | "scalar":
                array = np.frombuffer(base64.b64decode(told["data"]), told["dtype"]).reshape(told["shape"])
                return array[()] if kind == "scalar" else array.copy()
            case "key":
                import jax

                return jax.random.wrap_key_data(self.decode(told))
            case "rule":
                made = Rule(
                    self.decode(told["step"]), slots=told["slots"], hyper=told["hyper"], name=told["name"]
                )
                if told["first"]:
                    made.first_step = self.decode(told["first"])
                return made.at(**self.decode(told["set"]))
        raise ValueError(f"a number too large to use ({kind}).")


def _signature(value: Any) -> list[tuple[str, int]]:
    """Names and kinds of what a function takes; nothing where it cannot be told."""
    try:
        return [(p.name, int(p.kind)) for p in inspect.signature(value).parameters.values()]
    except (TypeError, ValueError):
        return []


class _Calls:
    """A callable that is sent as what it is, whatever else it may be."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def _plain(value: Any) -> bool:
    return type(value).__module__ in ("builtins", "numpy") or isinstance(value, int)


# --------------------------------------------------------------------------------------- the process


@contextmanager
def running(steps: Sequence[Step], limits: Limits) -> Iterator[Wire]:
    """The check's end of the wire to a submission that runs; when the body ends, so does it."""
    ours, theirs = multiprocessing.Pipe()
    if not (child := os.fork()):
        with suppress(BaseException):
            ours.close()
            _confine(limits)
            _serve(steps, Wire(theirs))
        os._exit(0)
    theirs.close()
    try:
        wire = Wire(ours, 0.0)
        wire.wait(limits.seconds)
        yield wire
    finally:
        ours.close()
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _serve(steps: Sequence[Step], wire: Wire) -> None:
    """Run the cells of a submission; at each check, hand in and serve until told to go on."""
    namespace: dict[str, Any] = {"__name__": "__main__", "display": lambda *shown, **_: None}
    broken = ""
    for number, step in enumerate(steps):
        told: dict[str, Any] = {"asks": step.asks, "broken": broken}
        try:
            if step.asks:
                values = [eval(text, namespace) for text in step.arguments]
                told["values"] = wire.encode(values)
            else:
                exec(compile(parse_cell(step.source, "it"), f"<cell {number + 1}>", "exec"), namespace)
        except Lost:
            return
        except BaseException as error:
            last = traceback.format_exception_only(error)[-1].strip()[:300]
            told["broken"] = broken = broken or f"cell {number + 1} stopped: {last}"
        if step.asks:
            broken = ""
            wire.send(told)
            while "verb" in (message := wire.receive()):
                wire.answer(message)
    wire.send({"end": True})


def _confine(limits: Limits) -> None:
    """Take from this process what the system lets us take, and put a child in charge of the rest."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    with suppress(OSError):
        _unshare()
    scratch = "/tmp" if os.path.ismount("/tmp") and sys.platform == "linux" else tempfile.mkdtemp()
    os.chdir(scratch)
    size = limits.memory + _address_space()
    for what, most in ((resource.RLIMIT_DATA, size), (resource.RLIMIT_CPU, int(limits.seconds * 50)),
                       (resource.RLIMIT_FSIZE, 50_000_000), (resource.RLIMIT_CORE, 0)):  # fmt: skip
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def _address_space() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # macOS maps far more than it uses
        return 1 << 40


#: Linux: flags of unshare(2), mount(2) and mount_setattr(2).
_NEW: Final = 0x10000000 | 0x40000000 | 0x00020000 | 0x20000000 | 0x08000000  # user, net, mounts, pids, ipc
_PRIVATE: Final = 0x4000 | 1 << 18


def _unshare() -> None:
    """Leave network, processes and files behind; raises OSError where that is not granted."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *args: Any) -> None:
        if getattr(libc, name)(*args):
            raise OSError(ctypes.get_errno(), name)

    user, group = os.getuid(), os.getgid()
    call("unshare", _NEW)
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{file}", "w", encoding="ascii") as out:
            out.write(text)
    if child := os.fork():  # its death ends every process it started
        os.waitpid(child, 0)
        os._exit(0)
    libc.prctl(1, signal.SIGKILL)
    call("mount", b"none", b"/", None, _PRIVATE, None)
    readonly = (ctypes.c_uint64 * 4)(1)
    call("syscall", 442, -100, b"/", 0x8000, ctypes.byref(readonly), ctypes.sizeof(readonly))
    call("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, b"size=64m")


def graders() -> multiprocessing.context.ForkServerContext:
    """Where graders are started: from a process without threads, which has loaded what they load."""
    os.environ.update(Execution().variables | {"MPLBACKEND": "agg"})
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["momentum_lib.course.ready"])
    return context


def guards() -> dict[str, bool]:
    """What this system grants: no network, no writing, both asked of a process that was confined."""
    with ProcessPoolExecutor(1, mp_context=graders()) as pool:
        return pool.submit(_guards).result()


def _guards() -> dict[str, bool]:
    asked = """
import socket
def writes(path):
    try:
        open(path, "a").close()
        return True
    except OSError:
        return False
def connects():
    try:
        socket.create_connection(("127.0.0.1", PORT), 1).close()
        return True
    except OSError:
        return False
"""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server, tempfile.NamedTemporaryFile(dir=".") as file:
        port = server.getsockname()[1]
        steps = [
            Step(asked.replace("PORT", str(port))),
            Step("", "guards", ("connects()", f"writes({os.path.abspath(file.name)!r})")),
        ]
        with running(steps, Limits(20)) as wire:
            connects, writes = wire.decode(wire.receive()["values"])
    return {"no network": not connects, "no writing": not writes}
