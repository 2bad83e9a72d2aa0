"""What a pickle may ask for, and what it gets instead: plain values, or an inert placeholder."""

import re
import sys
from _compat_pickle import IMPORT_MAPPING
from collections.abc import Callable, Mapping
from typing import Any

Builders = Mapping[str, Callable[..., Any]]
"""Full name of a function in a file -> what is called instead, with the file's arguments."""


class Refused(ValueError):
    """What a file holds is not read; the message says why and names it."""


class Placeholder:
    """Stands for an object of a file that was not rebuilt, or for a name in it.

    Attributes:
        name: of its class or function, as the file has it: `argparse.Namespace`.
        state: its attributes by name.
        items: what it holds, where it is a container, as pairs; a list's have the key None.
    """

    __slots__ = ("items", "name", "state")

    def __init__(self, name: str) -> None:
        """Remember the name; nothing is looked up."""
        self.name = name
        self.state: dict[Any, Any] = {}
        self.items: list[tuple[Any, Any]] = []

    def __repr__(self) -> str:
        """For error messages; the name is the file's, so its length and letters are limited."""
        return f"<{shown(self.name)}>"


def shown(name: Any) -> str:
    """A name of a file for a message: printable, of at most 80 letters."""
    text = ascii(name)[1:-1] if isinstance(name, str) else f"a {type(name).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


_DATA = re.compile(
    r"argparse\.Namespace|types\.SimpleNamespace|uuid\.UUID|decimal\.Decimal|fractions\.Fraction"
    r"|collections\.(defaultdict|deque|Counter)|datetime\.\w+|pathlib\.\w+|pathlib\._local\.\w+"
    r"|(builtins|__builtin__)\.(object|slice|range|xrange|complex|bytearray)"
    r"|numpy\.(dtype|ndarray)|numpy\.(core|_core)\.multiarray\.(scalar|_reconstruct)"
    r"|numpy\.random\._pickle\.__\w+_ctor"
    r"|torch\.(device|Size)|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_from_type_v2"
    r"|torch\.nn\.backends\.thnn\._get_thnn_function_backend"
)
"""What a checkpoint may ask for without looking hostile, beside classes of other packages."""
# With the names of Python 2, in which pickles up to protocol 2 are written.
_PYTHON = sys.stdlib_module_names | {name.split(".")[0] for name in IMPORT_MAPPING}
_CLASS = re.compile(r"[\w.]+\._*[A-Z]\w*")


def refuse_call(name: str) -> None:
    """Refuse a call that no weights need; kept as a text it could do nothing all the same.

    Raises:
        Refused: a function of Python's own library, or one that is no class.
    """
    own = name.split(".")[0] in _PYTHON
    if not _DATA.fullmatch(name) and (own or not _CLASS.fullmatch(name)):
        raise Refused(f"it asks to call {shown(name)}, which no weights need")


def _pairs(items: Any = ()) -> dict[Any, Any]:
    # Files of Python 2 give an OrderedDict's items as a list of lists.
    made: dict[Any, Any] = {}
    for key, item in items:
        made[safe_key(key)] = item
    return made


def make_set(items: Any = ()) -> set[Any]:
    """A set of a list's items.

    Raises:
        Refused: of something else, or with items whose hash is costly.
    """
    if not isinstance(items, list | tuple | set | frozenset):
        raise Refused("a set of something else than a list")
    return {safe_key(item) for item in items}


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    # How protocol 2 writes bytes.
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8"):
        raise Refused("bytes of an unknown encoding")
    return text.encode(encoding)


def _reconstruct(kind: Any, *_: Any) -> Placeholder:
    # How protocol 0 and 1 make an object of a class.
    if not isinstance(kind, Placeholder):
        raise Refused("an object of no class")
    refuse_call(kind.name)
    return Placeholder(kind.name)


BUILDERS: Builders = {
    "collections.OrderedDict": _pairs,
    "builtins.set": make_set,
    "__builtin__.set": make_set,
    "builtins.frozenset": make_set,
    "__builtin__.frozenset": make_set,
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _reconstruct,
    "copy_reg._reconstructor": _reconstruct,
    "torch.Size": lambda sizes=(): tuple(sizes),
}


def safe_key(key: Any) -> Any:
    """A key or a set's item, if its hash costs nothing and cannot be chosen to collide.

    Raises:
        Refused: a key of another type.
    """
    if isinstance(key, int) and abs(key) < 2**61 - 1:
        return key
    if isinstance(key, str | bytes | Placeholder | type(None)):
        return key
    if isinstance(key, tuple) and len(key) <= 8 and not any(isinstance(k, tuple) for k in key):
        return tuple(safe_key(part) for part in key)
    raise Refused(f"a key of type {type(key).__name__}")
