"""Reads a pickle as data: nothing is imported, and nothing that the file names is ever called.

Python's own unpickler looks every name up and calls what it finds, which is how a file runs code.
This one keeps a name as a text. Where a file asks for a call it builds the few things that weights
are made of itself (dicts, sets, sizes, tensors by way of `Builders`) and puts an inert
`Placeholder` for everything else, such as the `Namespace` or the whole module of a checkpoint,
whose attributes are kept as plain values.

A file that asks for a function of Python's own library (`os.system`, `builtins.eval`) is refused by
name, since no weights need one. That is for the reader's sake: kept as a text it could do nothing.
"""

import pickletools
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from chexnet.networks.calls import (
    BUILDERS,
    Builders,
    Placeholder,
    Refused,
    make_set,
    refuse_call,
    safe_key,
)

MAX_OPERATIONS = 1_000_000
"""A DenseNet-121 with an optimiser's state takes about 100,000."""
MAX_DEPTH = 64
"""Containers in containers; a pickled DenseNet-121 has about 20."""
MAX_BYTES = 64 << 20
"""Of one pickle without its tensors; a pickled module with its source has about 1 MB."""
MAX_SECONDS = 30.0
"""For one file: keys can be chosen so that a dict takes long for each of them."""


class Reader:
    """A stretch of a file that a pickle may take up."""

    def __init__(self, file: BinaryIO, limit: int = MAX_BYTES) -> None:
        """Start where the file stands; `limit` is in bytes."""
        self._file, self._left = file, limit

    def read(self, count: int) -> bytes:
        """Read `count` bytes; a length that a file only claims reserves no memory."""
        if not 0 <= count <= self._left:
            raise Refused("a value is longer than the file")
        data = self._file.read(count)
        self._left -= len(data)
        return data

    def readline(self) -> bytes:
        """Read up to a line's end."""
        line = self._file.readline(self._left)
        self._left -= len(line)
        return line

    def tell(self) -> int:
        """Where the file stands."""
        return self._file.tell()


class Budget:
    """What one file may cost, over all of its pickles."""

    def __init__(self) -> None:
        """Start the clock."""
        self.operations = MAX_OPERATIONS
        self.until = time.monotonic() + MAX_SECONDS

    def spend(self) -> None:
        """Count one operation.

        Raises:
            Refused: it was one too many.
        """
        self.operations -= 1
        if self.operations < 0:
            raise Refused(f"it holds more than {MAX_OPERATIONS:,} values")
        if self.operations % 1024 == 0 and time.monotonic() > self.until:
            raise Refused(f"it takes more than {MAX_SECONDS:.0f} s to read")


def read_pickle(
    file: BinaryIO, builders: Builders, storage: Callable[[Any], Any], budget: Budget
) -> Any:
    """Read one pickle from where the file stands to its end mark.

    Args:
        file: opened for reading bytes.
        builders: what is built instead of a call, beside `BUILDERS`.
        storage: gives the object of a persistent id, as `torch.save` writes storages.
        budget: of the file.

    Returns:
        Plain values, dicts, lists, tuples, sets, what the builders made, and placeholders.

    Raises:
        Refused: it asks for more than is allowed.
        Exception: of many kinds, where it is damaged.
    """
    machine = _Machine({**BUILDERS, **builders}, storage, budget)
    for operation, argument, _ in pickletools.genops(Reader(file)):  # type: ignore[arg-type]
        budget.spend()
        machine.step(operation.name, argument)
    return machine.result


def measure(value: Any) -> None:
    """Refuse what unfolds into more values, or deeper ones, than a file of weights has.

    Lists that share their content cost nothing until somebody walks through them.
    """
    budget = [MAX_OPERATIONS]

    def walk(value: Any, depth: int) -> None:
        budget[0] -= 1
        if budget[0] < 0 or depth > MAX_DEPTH:
            raise Refused("it unfolds into more values, or deeper ones, than weights have")
        if isinstance(value, Placeholder):
            walk(value.state, depth + 1)
            walk(value.items, depth + 1)
        elif isinstance(value, dict):
            for item in value.values():
                walk(item, depth + 1)
        elif isinstance(value, list | tuple):
            for item in value:
                walk(item, depth + 1)

    walk(value, 0)


# --- the machine -----------------------------------------------------------------------------

_VALUES = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES "
    "SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 FLOAT "
    "BINFLOAT".split()
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}


class _Machine:
    """The pickle machine: a stack, the stacks below its marks, and a memo."""

    def __init__(self, builders: Builders, storage: Callable[[Any], Any], budget: Budget) -> None:
        self.builders, self.storage, self.budget = builders, storage, budget
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        else:
            found = getattr(self, f"_{name.lower()}", None)
            if found is None:  # EXT1, NEXT_BUFFER, ...
                raise Refused(f"it holds the operation {name}, which no weights need")
            found(argument)

    def _marked(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def _nothing(self, argument: Any) -> None:
        """The version and the length of a frame say nothing that is needed."""

    _proto = _frame = _nothing

    def _stop(self, argument: Any) -> None:
        self.result = self.stack.pop()
        if self.stack or self.below:
            raise Refused("it ends in the middle of a value")

    def _mark(self, argument: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def _pop(self, argument: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._marked()

    def _pop_mark(self, argument: Any) -> None:
        self._marked()

    def _dup(self, argument: Any) -> None:
        self.stack.append(self.stack[-1])

    def _put(self, argument: int) -> None:
        self.memo[argument] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, argument: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, argument: int) -> None:
        self.stack.append(self.memo[argument])

    _binget = _long_binget = _get

    # Containers.

    def _tuple(self, argument: Any) -> None:
        items = self._marked()
        self.stack.append(tuple(items))

    def _last(self, count: int) -> None:
        if len(self.stack) < count:
            raise Refused("it ends in the middle of a value")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def _tuple1(self, argument: Any) -> None:
        self._last(1)

    def _tuple2(self, argument: Any) -> None:
        self._last(2)

    def _tuple3(self, argument: Any) -> None:
        self._last(3)

    def _list(self, argument: Any) -> None:
        items = self._marked()
        self.stack.append(items)

    def _dict(self, argument: Any) -> None:
        items = self._marked()
        self.stack.append({})
        self._set_items(items)

    def _frozenset(self, argument: Any) -> None:
        items = self._marked()
        self.stack.append(make_set(items))

    def _append(self, argument: Any) -> None:
        item = self.stack.pop()
        self._extend([item])

    def _appends(self, argument: Any) -> None:
        self._extend(self._marked())

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Placeholder):
            target.items += [(None, item) for item in items]
        elif isinstance(target, list):
            target += items
        else:
            raise Refused(f"it appends to a {type(target).__name__}")

    def _additems(self, argument: Any) -> None:
        items, target = self._marked(), self.stack[-1]
        if not isinstance(target, set):
            raise Refused(f"it adds to a {type(target).__name__}")
        for item in items:
            self.budget.spend()
            target.add(safe_key(item))

    def _setitem(self, argument: Any) -> None:
        item, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, item])

    def _setitems(self, argument: Any) -> None:
        self._set_items(self._marked())

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        pairs = list(zip(items[::2], items[1::2], strict=True))
        if isinstance(target, Placeholder):
            target.items += pairs
        elif isinstance(target, dict):
            for key, item in pairs:
                self.budget.spend()
                target[safe_key(key)] = item
        else:
            raise Refused(f"it sets items of a {type(target).__name__}")

    # Names and calls.

    def _global(self, argument: str) -> None:
        self.stack.append(Placeholder(argument.replace(" ", ".", 1)))

    def _stack_global(self, argument: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise Refused("a name that is no text")
        self.stack.append(Placeholder(f"{module}.{name}"))

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Placeholder) or not isinstance(arguments, tuple):
            raise Refused("it asks to call a value")
        if function.name in self.builders:
            made = self.builders[function.name](*arguments)
        else:
            refuse_call(function.name)
            made = Placeholder(function.name)
        self.stack.append(made)

    def _reduce(self, argument: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self._call(function, arguments)

    _newobj = _reduce

    def _newobj_ex(self, argument: Any) -> None:
        _, arguments, kind = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self._call(kind, arguments)

    def _inst(self, argument: str) -> None:
        arguments = self._marked()
        self._call(Placeholder(argument.replace(" ", ".", 1)), tuple(arguments))

    def _obj(self, argument: Any) -> None:
        kind, *arguments = self._marked()
        self._call(kind, tuple(arguments))

    def _build(self, argument: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, Placeholder):
            return  # a state dict's versions (`_metadata`), a parameter's attributes
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        for part in parts:  # attributes, and those of slots
            if isinstance(part, dict):
                target.state.update(part)

    def _persid(self, argument: Any) -> None:
        self.stack.append(self.storage(argument))

    def _binpersid(self, argument: Any) -> None:
        self.stack.append(self.storage(self.stack.pop()))
