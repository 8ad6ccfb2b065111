"""What a rule, a task or a loss hangs on: its code, its helpers, its data. An edit is another fingerprint.

A result is used again only where the fingerprint is the same. Code of one's own, in a notebook, a script or a
module, is followed: through the names it uses, what it closes over, defaults, methods. Installed packages are
told by name alone. A comment or a blank line changes nothing; another Python may.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import numbers
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["fingerprint", "is_installed"]


def fingerprint(*things: Any, met: dict[int, Any] | None = None) -> str:
    """Digest of all that these things hang on.

    Parameters
    ----------
    *things
        Functions, classes, values.
    met : dict, optional
        Filled with all that was met on the way, each with its digest, by its id.

    Raises
    ------
    ValueError
        Something in them has neither code nor settings to tell it by: a generator of random numbers, a file.

    Examples
    --------
    >>> def loss(power):
    ...     return lambda theta, batch: theta**power
    >>> fingerprint(loss(2)) == fingerprint(loss(2)), fingerprint(loss(2)) == fingerprint(loss(3))
    (True, False)
    """
    met = {} if met is None else met
    return _told(things, met).hex()


@functools.cache
def is_installed(module: str) -> bool:
    """Whether a module is no code of one's own: this library's, Python's, an installed package's."""
    top = module.partition(".")[0]
    if top == "__main__":
        return False
    if top == "momentum_lib" or top in sys.stdlib_module_names:
        return True
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    places = [*((found.submodule_search_locations or ()) if found else ()), (found and found.origin) or ""]
    installed = {"site-packages", "dist-packages"}  # of this environment, one beneath it, or the user
    return any(not installed.isdisjoint(Path(place).parts) for place in places)


def _told(thing: Any, met: dict[int, Any]) -> bytes:
    """Digest of a thing and its parts; within itself a thing is told by that it is met again."""
    if thing is None or isinstance(thing, bool | str | bytes | numbers.Number | type(...)):
        return f"{type(thing).__name__} {thing!r}".encode()
    if id(thing) in met:
        return bytes(met[id(thing)][1])
    met[id(thing)] = thing, b"itself"  # held, so that no other takes its id
    digest = hashlib.blake2b(type(thing).__name__.encode(), digest_size=8)
    for part in _parts_of(thing):
        told = part if isinstance(part, _Bytes) else _told(part, met)
        digest.update(len(told).to_bytes(8, "little"))
        digest.update(told)
    met[id(thing)] = thing, digest.digest()
    return digest.digest()


class _Bytes(bytes):
    """Told as it is."""


def _parts_of(thing: Any) -> Iterator[Any]:
    """What a thing consists of."""
    if isinstance(thing, types.CodeType):
        yield from (_Bytes(thing.co_code), thing.co_names, thing.co_freevars, thing.co_consts)
    elif isinstance(thing, types.ModuleType):
        yield thing.__name__
    elif isinstance(thing, list | tuple):
        yield from (len(thing), *thing)
    elif isinstance(thing, set | frozenset):
        yield from sorted(map(repr, thing))
    elif isinstance(thing, Mapping):
        yield from (len(thing), *(part for item in thing.items() for part in item))
    elif isinstance(thing, functools.partial):
        yield from (thing.func, thing.args, thing.keywords)
    elif isinstance(thing, types.MethodType):
        yield from (thing.__self__, thing.__func__)
    elif isinstance(thing, staticmethod | classmethod):
        yield thing.__func__
    elif isinstance(thing, property | functools.cached_property):
        yield from (thing.fget, thing.fset) if isinstance(thing, property) else (thing.func,)
    elif isinstance(thing, types.FunctionType):
        yield from _parts_of_function(thing)
    elif isinstance(thing, type):
        yield from _parts_of_class(thing)
    elif isinstance(thing, np.ndarray) or hasattr(thing, "__jax_array__") or _is_jax(thing):
        yield from _parts_of_array(thing)
    elif getattr(thing, "__wrapped__", None) is not None:  # jit, lru_cache: what they wrap
        yield thing.__wrapped__ if not _by_name(thing) else f"{thing.__module__}.{thing.__qualname__}"
    elif _by_name(thing):
        yield f"{getattr(thing, '__module__', None) or 'builtins'}.{thing.__qualname__}"
    else:
        yield from _parts_of_object(thing)


def _by_name(thing: Any) -> bool:
    """Whether a name of an installed module tells it."""
    named = isinstance(getattr(thing, "__qualname__", None), str) and "<locals>" not in thing.__qualname__
    return named and is_installed(getattr(thing, "__module__", None) or "builtins")


def _is_jax(thing: Any) -> bool:
    return "jax" in sys.modules and isinstance(thing, sys.modules["jax"].Array)


def _parts_of_array(array: Any) -> Iterator[Any]:
    if str(array.dtype).startswith("key<"):
        array = sys.modules["jax"].random.key_data(array)
    values = np.asarray(array)
    if values.dtype.hasobject:
        yield from (values.shape, values.tolist())
    else:
        yield from (values.shape, values.dtype.str, _Bytes(np.ascontiguousarray(values).tobytes()))


def _parts_of_function(function: types.FunctionType) -> Iterator[Any]:
    """Its code and all that the code finds by name; of an installed one the name and what it closes over."""
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    if is_installed(function.__module__ or "builtins"):
        yield from (f"{function.__module__}.{function.__qualname__}", cells)
        return
    yield from (function.__code__, function.__defaults__, function.__kwdefaults__, cells)
    names = _names(function.__code__)
    for name in names:
        if name in function.__globals__:
            yield from _found(name, function.__globals__[name], names)


def _found(name: str, value: Any, names: list[str]) -> Iterator[Any]:
    """What a name stands for; of a module of one's own, what the code may take from it."""
    yield name
    yield value
    if isinstance(value, types.ModuleType) and not is_installed(value.__name__):
        for inner in names:
            if inner in vars(value) and vars(value)[inner] is not value:
                yield from _found(inner, vars(value)[inner], names)


def _names(code: types.CodeType) -> list[str]:
    """Names that a function and the functions within it look up."""
    inner = [name for part in code.co_consts if isinstance(part, types.CodeType) for name in _names(part)]
    return list(dict.fromkeys([*code.co_names, *inner]))


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


#: What Python and `dataclass` write into a class; its fields are told where a value of it is.
_WRITTEN = frozenset(
    "__dict__ __weakref__ __doc__ __module__ __qualname__ __annotations__ __annotate_func__ __firstlineno__ "
    "__static_attributes__ __annotations_cache__ __match_args__ __abstractmethods__ _abc_impl __parameters__ "
    "__orig_bases__ __slots__ __dataclass_fields__ __dataclass_params__ __replace__".split()
)


def _parts_of_class(kind: type) -> Iterator[Any]:
    """Its methods and those it inherits, as far as they are one's own."""
    yield f"{kind.__module__}.{kind.__qualname__}" if is_installed(kind.__module__) else kind.__qualname__
    for base in kind.__mro__:
        if is_installed(base.__module__):
            continue
        for name, value in vars(base).items():
            made = dataclasses.is_dataclass(base) and name in ("__init__", "__repr__", "__eq__", "__hash__")
            if name not in _WRITTEN and not made and not isinstance(value, types.MemberDescriptorType):
                yield from (name, value)


def _parts_of_object(thing: Any) -> Iterator[Any]:
    """Its class and its settings; what has neither is refused."""
    yield type(thing)
    settings = getattr(thing, "__dict__", None)
    if settings is not None:  # without what has been computed from it meanwhile
        made = functools.cached_property
        settings = {n: v for n, v in settings.items() if not isinstance(getattr(type(thing), n, None), made)}
    if dataclasses.is_dataclass(thing):
        yield from ((f.name, getattr(thing, f.name)) for f in dataclasses.fields(thing))
    elif settings is not None:
        yield settings
    elif " at 0x" in (told := repr(thing)):
        raise ValueError(f"{type(thing).__name__} has no settings to tell it by; make it a frozen dataclass.")
    else:
        yield told
