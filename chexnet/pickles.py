"""Looks through a pickle before it is loaded: what it asks for, and what loading it would cost.

`torch.load(weights_only=True)` runs no code, but a small file can make it build gigabytes, or hash
for minutes: a list that is copied a million times by way of the memo, keys that collide, tensors
of sizes that nobody stored. So the operations are followed first with what is needed to count:
plain values, and for everything else a note of what it would be. Nothing is built or called.
"""

import math
import pickletools
import re
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MAX_COST = 300_000
"""A pickled DenseNet-121 with its optimiser's object costs 180,000, its state dict 35,000."""
CALL = 5
"""Cost of a name or a call; an operation has 1, a value that is copied 1 for each of its parts."""
MAX_BYTES = 16 << 20
"""Of one pickle without its tensors; a pickled module has about 0.2 MB."""
MAX_NAMES = 100
"""Different classes; torch looks through all of them at each call."""
LARGEST_KEY = 2**61 - 1
"""Whole numbers from here on can be chosen so that their hashes collide."""

DTYPES = {
    **{"DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2},
    **{"LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1},
    **{"ByteStorage": 1, "BoolStorage": 1},
}
"""Storages of torch that a file may hold, and the bytes of a value."""
_COPIES = ("collections.OrderedDict", "collections.Counter", "builtins.set", "torch.Size")
_TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
_PARAMETER = "torch._utils._rebuild_parameter"
KNOWN = re.compile(
    "|".join(map(re.escape, (*_COPIES, *_TENSORS, _PARAMETER, "_codecs.encode", "torch.device")))
    + r"|torch\.(cuda\.)?(" + "|".join(DTYPES) + r")"
    r"|torch\.(float|bfloat|int|uint|bool|double|half|long)\w*"
)  # fmt: skip
"""Names that torch itself may give; any other is given a stand-in, or refused."""
_DATA = re.compile(
    r"argparse\.Namespace|types\.SimpleNamespace|uuid\.UUID|decimal\.Decimal|fractions\.Fraction"
    r"|collections\.(defaultdict|deque)|datetime\.\w+|pathlib\.\w+|pathlib\._local\.\w+"
    r"|builtins\.(object|slice|range|complex|bytearray)"
    r"|numpy\.(dtype|ndarray)|numpy\.(core|_core)\.multiarray\.(scalar|_reconstruct)"
    r"|numpy\.random\._pickle\.__\w+_ctor|torch\.nn\.backends\.thnn\._get_thnn_function_backend"
)
"""What a checkpoint may call without looking hostile, beside classes of other packages."""
_CLASS = re.compile(r"[\w.]+\._*[A-Z]\w*")


class Refused(ValueError):
    """What a file holds is not read; the message says why and names it, and what to do."""

    def __init__(self, reason: str, advice: str = "Fetch it from its publisher") -> None:
        """Both without a full stop."""
        super().__init__(f"{reason}. {advice}.")
        self.reason = reason


class StandIn:
    """Stands for an object of a class that is not ours: keeps its state, and does nothing.

    Attributes:
        name: of the class, as the file has it: `argparse.Namespace`.
        state: the object's attributes by name.
    """

    name = ""

    def __new__(cls, *_: Any) -> Any:
        """Take what the class would take, and keep none of it."""
        made = super().__new__(cls)
        made.state = {}
        return made

    def __init__(self, *_: Any) -> None:
        """See `__new__`."""
        self.state: dict[Any, Any]

    def __setstate__(self, state: Any) -> None:
        """Keep the attributes, and those of slots."""
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            if isinstance(part, dict):
                self.state.update(part)

    def __repr__(self) -> str:
        """For error messages."""
        return f"<{shown(self.name)}>"


def shown(name: Any) -> str:
    """A name of a file for a message: printable, of at most 80 letters."""
    text = ascii(name)[1:-1] if isinstance(name, str) else f"a {type(name).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


@dataclass
class Scan:
    """What the pickles of one file hold.

    Attributes:
        room: bytes that its storages may have together.
        names: of all classes and functions, each as torch calls it.
        storages: key -> (name of its class, values in it).
        kinds: name -> what an object of that class is filled like: `dict` or `list`.
        left: of `MAX_COST`.
    """

    room: int
    names: set[str] = field(default_factory=set)
    storages: dict[str, tuple[str, int]] = field(default_factory=dict)
    kinds: dict[str, type] = field(default_factory=dict)
    left: int = MAX_COST

    def spend(self, cost: int) -> None:
        """Count.

        Raises:
            Refused: it was too much.
        """
        self.left -= cost
        if self.left < 0:
            raise Refused("it holds more values than weights do, or would copy them")

    def pickle(self, file: BinaryIO) -> Any:
        """Follow one pickle from where the file stands to its end.

        Returns:
            Plain values, tuples, `_Made` for containers and the rest.

        Raises:
            Refused: it asks for what no weights need, or costs too much.
            Exception: of many kinds, where it is damaged.
        """
        machine = _Machine(self)
        begun = file.tell()
        for operation, argument, place in pickletools.genops(file):
            self.spend(1)
            if (place or 0) - begun > MAX_BYTES:
                raise Refused("what it holds beside tensors is too large")
            machine.step(operation.name, argument)
        return machine.stack.pop()


def measure(value: Any, left: int = MAX_COST, depth: int = 64) -> int:
    """Refuse what unfolds into more values, or deeper ones, than a file of weights has.

    Lists that share their content cost nothing until somebody walks through them.
    """
    left -= 1
    if left < 0 or depth < 0:
        raise Refused("it unfolds into more values, or deeper ones, than weights have")
    inner = value.state if isinstance(value, StandIn) else value
    parts = inner.values() if isinstance(inner, dict) else inner
    for part in parts if isinstance(inner, dict | list | tuple) else ():
        left = measure(part, left, depth - 1)
    return left


@dataclass(slots=True, eq=False)
class _Name:
    """A class or a function."""

    name: str


@dataclass(slots=True, eq=False)
class _Made:
    """A container (of a dict, keys and values by turns), or what a call gives.

    `count` is of a storage, with how many values it has.
    """

    name: str
    items: list[Any] = field(default_factory=list)
    count: int = 0

    @property
    def own(self) -> bool:
        """Whether it is of a class that gets a stand-in."""
        return self.name != "container" and not KNOWN.fullmatch(self.name)


class _Machine:
    """The pickle machine: a stack, the stacks below its marks, and a memo."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE":
                stack.append(argument)
            case "SHORT_BINSTRING":
                stack.append(str(argument))
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "EMPTY_LIST" | "EMPTY_DICT":
                stack.append(_Made("container"))
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "MARK":
                self.below.append(stack)
                self.stack = []
            case "TUPLE":
                items = self._marked()
                self.stack.append(tuple(items))
            case "APPEND":
                self._fill(list, [stack.pop()])
            case "APPENDS":
                self._fill(list, self._marked())
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                self._fill(dict, [key, value])
            case "SETITEMS":
                self._fill(dict, self._marked())
            case "GLOBAL":
                stack.append(self._named(*argument.split(" ")))
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(self._call(function, arguments))
            case "BUILD":
                self._build(stack.pop(), stack[-1])
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case "STOP":
                pass
            case "PROTO" if argument == 2:
                pass
            case _:
                raise Refused(
                    f"it holds the operation {name} {str(argument)[:9]}, which torch.save does not "
                    "write by itself",
                    "Save it again without another protocol: torch.save(torch.load(FILE), NEW)",
                )

    def _marked(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def _fill(self, kind: type, items: list[Any]) -> None:
        target = self.stack[-1]
        for key in items[::2] if kind is dict else ():
            _refuse_key(key)
        if not isinstance(target, _Made):
            raise Refused("it fills what is no container")
        target.items.extend(items)
        if target.own and self.scan.kinds.setdefault(target.name, kind) is not kind:
            raise Refused(f"{shown(target.name)} is filled like a list and like a dict")

    def _named(self, module: str, name: str) -> _Name:
        self.scan.spend(CALL)
        # As torch has it: files write names of Python 2.
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        full = f"{module}.{name}"
        if module in ("sys", "os", "posix", "nt") or "\\" in full:
            raise Refused(f"it asks to call {shown(full)}, which no weights need")
        self.scan.names.add(full)
        if len(self.scan.names) > MAX_NAMES:
            raise Refused(f"it names more than {MAX_NAMES} classes")
        return _Name(full)

    def _call(self, function: Any, arguments: Any) -> Any:
        self.scan.spend(CALL)
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise Refused("it asks to call a value")
        self.scan.spend(len(arguments))
        name = function.name
        first = arguments[0] if arguments else ()
        if name in _COPIES:
            items = _parts(first)
            self.scan.spend(len(items))
            if name == "torch.Size":
                return tuple(items)
            for item in items:
                # Files of Python 2 give an OrderedDict's items as a list of lists.
                _refuse_key(_parts(item)[0] if name == _COPIES[0] else item)
            return _Made(name, list(items))
        if name in _TENSORS:
            _refuse_bounds(*arguments)
        elif name == _PARAMETER:
            if not isinstance(first, _Made) or first.name not in _TENSORS:
                raise Refused("a parameter without a tensor")
        elif name == "_codecs.encode":  # how protocol 2 writes bytes
            if not isinstance(first, str) or arguments[1:] not in (("latin1",), ("utf-8",)):
                raise Refused("bytes of an unknown encoding")
            self.scan.spend(len(first) // 16)
            return first.encode("utf-8", "replace")
        elif name != "torch.device":
            self._refuse_call(name)
        return _Made(_TENSORS[0] if name == _PARAMETER else name)

    def _refuse_call(self, name: str) -> None:
        own = name.split(".")[0] in sys.stdlib_module_names
        if KNOWN.fullmatch(name) or (
            not _DATA.fullmatch(name) and (own or not _CLASS.fullmatch(name))
        ):
            raise Refused(f"it asks to call {shown(name)}, which no weights need")

    def _build(self, state: Any, target: Any) -> None:
        self.scan.spend(CALL)
        if not isinstance(target, _Made) or not (target.own or target.name == _COPIES[0]):
            raise Refused("it gives attributes to what can have none")
        for part in state if isinstance(state, tuple) else (state,):
            self.scan.spend(len(part.items) if isinstance(part, _Made) else 1)

    def _storage(self, told: Any) -> _Made:
        self.scan.spend(CALL)
        if isinstance(told, tuple) and told and told[0] == "module":
            raise Refused(
                "it holds a whole module in the format of before torch 1.6",
                "If you trust it, write its weights alone, where its code is installed: "
                "torch.save(M.state_dict(), NEW), of M = torch.load(FILE, weights_only=False) or "
                "what in it is the module",
            )
        match told:
            case ("storage", _Name(kind), str(key), str(), int(count), *view) if (
                count >= 0 and view in ([], [None]) and kind.rsplit(".", 1)[-1] in DTYPES
            ):
                if key not in self.scan.storages:
                    self.scan.room -= count * DTYPES[kind.rsplit(".", 1)[-1]]
                if self.scan.room < 0:
                    raise Refused("its tensors claim more than the file holds")
                if self.scan.storages.setdefault(key, (kind, count)) != (kind, count):
                    raise Refused(f"storage {shown(key)} is described twice, each time otherwise")
                return _Made(kind, count=count)
        raise Refused("a storage without a description, or of a kind that no weights need")


def _parts(value: Any) -> Any:
    parts = value.items if isinstance(value, _Made) else value
    if not isinstance(parts, list | tuple):
        raise Refused("a container of something else than a list")
    return parts


def _refuse_key(key: Any) -> None:
    """Refuse a key whose hash costs much, or can be chosen to collide."""
    whole = isinstance(key, int) and abs(key) < LARGEST_KEY
    by_identity = isinstance(key, _Made) and (key.own or key.name in _TENSORS)
    if not (whole or by_identity or isinstance(key, str | bytes | _Name | None)):
        raise Refused(f"a key of type {type(key).__name__.strip('_').lower()}")


def _refuse_bounds(storage: Any, offset: Any, size: Any, stride: Any, *more: Any) -> None:
    """Refuse a tensor that is not within what is stored of it."""
    kind = storage.name.rsplit(".", 1)[-1] if isinstance(storage, _Made) else ""
    if kind not in DTYPES or len(more) > 2:
        raise Refused("a tensor of nothing")
    for numbers in (size, stride, (offset,)):
        if not isinstance(numbers, tuple) or not all(
            isinstance(number, int) and 0 <= number <= 1 << 40 for number in numbers
        ):
            raise Refused("a tensor without a shape")
    if len(size) != len(stride) or len(size) > 8 or math.prod(size) > storage.count:
        raise Refused("a tensor larger than what is stored of it")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if offset > storage.count or (math.prod(size) and last >= storage.count):
        raise Refused("a tensor that reaches beyond what is stored of it")
