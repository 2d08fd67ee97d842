"""Arrays in a pickle of NumPy's, read from its list of instructions: nothing in it is ever run.

A pickle is a program for a small machine with a stack, which may call whatever it names. Here a
machine of our own goes through it, that knows dictionaries, tuples, plain values and how NumPy puts
an array together. It calls nothing, and any other instruction or name is refused.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from unpaired.core.errors import UnpairedError, one_line

# Names that a pickled array has; NumPy 2 calls the first module otherwise.
RECONSTRUCT = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
ARRAY, DTYPE = "numpy ndarray", "numpy dtype"
NAMES = (*RECONSTRUCT, ARRAY, DTYPE)
FLOATS = ("f2", "f4", "f8")
BYTE_ORDERS = ("<", ">")

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
VALUES = (
    "BININT", "BININT1", "BININT2", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES",
)  # fmt: skip
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUTS, GETS = ("BINPUT", "LONG_BINPUT"), ("BINGET", "LONG_BINGET")
WITHOUT_EFFECT = ("PROTO", "FRAME")


def read_arrays(where: str, content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of a pickle of dictionaries, by their keys joined by slashes.

    where: what messages call it. Raises UnpairedError if it is damaged, names anything but NumPy's
    arrays, or holds anything else than dictionaries of floating-point arrays.
    """
    if not content:
        raise UnpairedError(f"{where}: the file is empty")
    try:
        return dict(_flat(_followed(content), "", set()))
    except (_Refused, ValueError) as error:
        reason = one_line(error)
    except (LookupError, TypeError, RecursionError):
        reason = "its instructions make no sense"
    raise UnpairedError(f"{where}: not a pickle of NumPy arrays alone ({reason[:200]})")


def _followed(content: bytes) -> Any:
    machine = _Machine()
    with warnings.catch_warnings():  # Of texts with odd escapes.
        warnings.simplefilter("ignore")
        for instruction, argument, _ in pickletools.genops(content):
            machine.follow(instruction.name, argument)
    return machine.result()


class _Refused(Exception):
    pass


@dataclass(frozen=True)
class _Name:
    text: str


@dataclass
class _DType:
    kind: str
    order: str | None = None


@dataclass
class _Array:
    values: np.ndarray | None = None


class _Machine:
    """The stack and the memory of a pickle; what it builds are values and our own dataclasses."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}

    def result(self) -> Any:
        (value,) = self.stack
        return value

    def follow(self, name: str, argument: Any) -> None:
        """Follow one instruction, as `pickletools` names it."""
        if name in VALUES:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in EMPTY:
            self.stack.append(EMPTY[name]())
        elif name in TUPLES:
            self.stack.append(tuple(self._taken(TUPLES[name])))
        elif name in PUTS:
            self.memory[argument] = self.stack[-1]
        elif name in GETS:
            self.stack.append(self.memory[argument])
        elif name not in WITHOUT_EFFECT:
            self._act(name, argument)

    def _act(self, name: str, argument: Any) -> None:
        match name:
            case "MARK":
                self.marks.append(len(self.stack))
            case "TUPLE":
                self.stack.append(tuple(self._since_mark()))
            case "SETITEM":
                self._set(self._taken(2))
            case "SETITEMS":
                self._set(self._since_mark())
            case "MEMOIZE":
                self.memory[len(self.memory)] = self.stack[-1]
            case "GLOBAL":
                self.stack.append(_allowed(argument))
            case "STACK_GLOBAL":
                self.stack.append(_allowed(" ".join(self._taken(2))))
            case "REDUCE":
                self.stack.append(_made(*self._taken(2)))
            case "BUILD":
                _fill(*self._taken(2, keep=1))
            case "STOP":
                pass
            case _:
                raise _Refused(f"it has an instruction {name}")

    def _taken(self, count: int, keep: int = 0) -> list[Any]:
        """Return the last values of the stack, and take them off but for the first ``keep``."""
        start = len(self.stack) - count
        if start < 0:
            raise ValueError("its stack is empty")
        values = self.stack[start:]
        del self.stack[start + keep :]
        return values

    def _since_mark(self) -> list[Any]:
        return self._taken(len(self.stack) - self.marks.pop())

    def _set(self, pairs: list[Any]) -> None:
        into = self.stack[-1]
        keys, values = pairs[::2], pairs[1::2]
        if not isinstance(into, dict) or not all(isinstance(key, str) for key in keys):
            raise _Refused("it has keys that are no texts")
        into.update(zip(keys, values, strict=True))


def _allowed(name: str) -> _Name:
    if name not in NAMES:
        raise _Refused(f"it names {'.'.join(name.split())}, and nothing of it was run")
    return _Name(name)


def _made(function: Any, arguments: Any) -> _DType | _Array:
    """Return what NumPy's two functions would: an array or a type that still lacks its state."""
    if function == _Name(DTYPE) and arguments[0] in FLOATS:
        return _DType(arguments[0])
    if function in map(_Name, RECONSTRUCT) and arguments[0] == _Name(ARRAY):
        return _Array()
    raise _Refused("it has something other than arrays of floating-point numbers")


def _fill(target: Any, state: tuple[Any, ...]) -> None:
    if isinstance(target, _DType):
        if state[1] not in BYTE_ORDERS:
            raise ValueError("a type of numbers without an order of bytes")
        target.order = state[1]
    elif isinstance(target, _Array):
        target.values = _values(*state)
    else:
        raise _Refused("it gives a state to something other than arrays")


def _values(
    version: int, shape: tuple[int, ...], dtype: _DType, by_columns: bool, content: bytes
) -> np.ndarray:
    """Return a pickled array; version: of the form of its state."""
    if version != 1 or not isinstance(dtype, _DType) or not isinstance(content, bytes):
        raise ValueError("an array without its numbers")
    kind = np.dtype(f"{dtype.order}{dtype.kind}")
    if min(shape, default=0) < 0 or prod(shape) * kind.itemsize != len(content):
        raise ValueError("an array of another size than its numbers")
    array = np.frombuffer(content, kind).reshape(shape, order="F" if by_columns else "C")
    return array.astype(kind.newbyteorder("="))


def _flat(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, array) of all that nested dictionaries hold, none of which may stand twice."""
    if isinstance(value, _Array) and value.values is not None and name:
        yield name, value.values
        return
    if not isinstance(value, dict) or id(value) in seen:
        raise _Refused(f"it has something other than an array at '{name}'")
    seen.add(id(value))
    for key, one in value.items():
        yield from _flat(one, f"{name}/{key}" if name else key, seen)
