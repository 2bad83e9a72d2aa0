"""What the commands share: options from a dataclass, errors without a traceback, progress."""

import dataclasses
import errno
import inspect
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import typer

from chexnet.config import DEVICE_HELP, TrainConfig
from chexnet.errors import ChexnetError
from chexnet.files import WHOLE_LIST
from chexnet.parallel import break_as_interrupt

if TYPE_CHECKING:
    from rich.progress import Progress

OPTIONAL = ("torch", "torchvision", "torchmetrics", "matplotlib")
"""Modules that commands import and that requirements-demo.txt leaves out."""


def named_weights(given: Any) -> Any:
    """What `--weights` was given, a path or several: a published network's name is fetched."""
    if isinstance(given, list | tuple):
        return [named_weights(name) for name in given]
    if given is None:
        return None
    from chexnet.files import is_name
    from chexnet.networks.fetch import weights_path

    if not is_name(str(given)):
        return given
    with transfer_bars() as show:
        return weights_path(str(given), on_progress=partial(show, str(given)))


Data = Annotated[Path, typer.Option(help="Folder that holds images_001 ... and the label table.")]
WEIGHTS_HELP = "A best_chexnet_params.pth, or a published network (scripts.weights list)."
Weights = Annotated[Path, typer.Option(help=WEIGHTS_HELP, callback=named_weights)]
Out = Annotated[Path, typer.Option(help="Folder of this run.")]
Packs = Annotated[Path, typer.Option(help="Folder of the packs that scripts.prepare makes.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything drawn at random.")]
Labels = Annotated[str, typer.Option(help="NIH label table: auto, 2017 or v2020.")]
Replicates = Annotated[int, typer.Option(min=0, help="Bootstrap draws; 0 for none.")]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Images at once; by default what fits the device.")
]
Scheme = Annotated[
    str, typer.Option(help="For CSVs: split the part is of (auto, official, patient).")
]
Partial = Annotated[
    bool, typer.Option("--partial", help="For CSVs: score only some images of the part.")
]
Workers = Annotated[int, typer.Option(help="Processes that read images; -1 chooses.")]
Table = Annotated[
    Path | None, typer.Option(help="Label table of the images; else NIH's own in --data.")
]
Format = Annotated[
    str, typer.Option(help="Of --table: nih, csv, chexpert, vinbigdata ... (docs/evaluation.md).")
]
Mapping = Annotated[
    Path | None, typer.Option(help="With --format csv: TOML that says which column is which label.")
]
Uncertain = Annotated[
    str, typer.Option(help="What an uncertain label counts as: ignore, positive or negative.")
]
Device = Annotated[str, typer.Option(help=DEVICE_HELP)]
AllowLeak = Annotated[
    bool, typer.Option("--allow-leak", help="Go on although patients leak; stamps LEAKY.")
]


class Part(StrEnum):
    """Which images are scored."""

    val = "val"
    test = "test"
    all = "all"


USUAL = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
"""What an option is where nobody gives it, for the commands that share it."""


def command(module: str, *words: object, **options: object) -> str:
    """`python -m MODULE WORDS --OPTIONS`, as a shell takes it; usual and empty options left out."""
    parts = [*map(str, words)]
    for name, value in options.items():
        if value is not None and value != USUAL.get(name):
            flag = f"--{name.replace('_', '-')}"
            parts += [flag] if value is True else [flag, str(value)]
    return " ".join(["python -m", module, *map(_quoted, parts)])


def _quoted(text: str) -> str:
    if os.name != "nt":
        return shlex.quote(text)
    return text if re.fullmatch(r"[\w.:\\/+=@-]+", text) else f'"{text}"'


def new_app() -> typer.Typer:
    """An app without shell completion and without pretty tracebacks."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class SeveralValues(typer.core.TyperCommand):
    """A command whose options that may be repeated also take several values: `--parts 1 2`.

    All that follows is a value, up to the next option; after numbers, up to what is none.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        repeated = {
            name
            for option in self.params
            if getattr(option, "multiple", False)
            for name in option.opts
        }
        return super().parse_args(ctx, list(_named_again(args, repeated)))


def _named_again(args: list[str], repeated: set[str]) -> Iterator[str]:
    """The arguments, with the option's name before each of its values."""
    option, values = "", list[str]()
    for text in args:
        if text.startswith("-"):
            option, values = text if text in repeated else "", []
        elif option and values and values[0].isdigit() and not text.isdigit():
            option = ""
        elif option:
            if values:
                yield option
            values.append(text)
        yield text


def run(app: typer.Typer) -> None:
    """Run a command; an error of this project or of a path is one message and exit code 1.

    One of several processes ends at once: taking leave of the others would wait for them, and they
    wait for it. torchrun ends them then.
    """
    break_as_interrupt()
    if hasattr(sys.stdout, "reconfigure"):  # a pipe on Windows may lack letters of a file's name
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except Exception as caught:
        error = caught
        if isinstance(error, OSError) and (error.filename or error.errno == errno.ENOSPC):
            error = ChexnetError(
                f"{error.filename or 'The disk'}: {error.strerror or error}. Check that path, who "
                "may use it, and the room on its disk."
            )
        several = int(os.environ.get("WORLD_SIZE", 1)) > 1
        if isinstance(error, ChexnetError):
            rank = os.environ.get("RANK", "0")
            where = f"[process {rank}] " if rank != "0" else ""
            print(f"{where}Error: {error}", file=sys.stderr)
        elif isinstance(error, ModuleNotFoundError) and error.name in OPTIONAL:
            text = f"{error.name} is not installed, and this command needs it: {WHOLE_LIST}"
            print(f"Error: {text}", file=sys.stderr)
        elif several:
            traceback.print_exc()
        else:
            raise
        if several:
            # Not sys.exit: that waits for threads, and destroys the process group, which may wait
            # for a collective that the others never join. Over gloo it does not wait (tried: both
            # with and without one pending, gone at once, and the other rank was told). Over NCCL
            # nobody has tried it. Nothing is lost: files are whole or not there, locks are the
            # system's, readers end with this process.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)
        sys.exit(1)


def options_of(config: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each field of a dataclass: name, type, default, help.

    The command is called with the options that the user gave, as a dict, and with its own
    keyword options. Defaults stay in the dataclass, since a recipe may change them.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(config, include_extras=True)
        parameters = []
        for field in dataclasses.fields(config):
            kind, text = get_args(hints[field.name])
            required = field.default is dataclasses.MISSING
            shown = False if required else _shown(field.default)
            option = typer.Option(help=text, show_default=shown)
            parameters.append(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if required else None,
                    annotation=Annotated[kind if required else kind | None, option],
                )
            )
        own = [
            parameter
            for parameter in inspect.signature(command).parameters.values()
            if get_origin(parameter.annotation) is Annotated
        ]
        names = {parameter.name for parameter in parameters}

        def called(**values: Any) -> None:
            given = {k: v for k, v in values.items() if k in names and v is not None}
            command(given, **{k: v for k, v in values.items() if k not in names})

        called.__doc__ = command.__doc__
        called.__name__ = command.__name__
        setattr(called, "__signature__", inspect.Signature(parameters + own))  # noqa: B010
        called.__annotations__ = {p.name: p.annotation for p in parameters + own}
        return called

    return decorate


def counting_bar(unit: str) -> "Progress":
    """A bar on the terminal that counts `unit`; silent where there is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), unit, TimeElapsedColumn(), "left")
    return Progress(
        "{task.description}",
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


@contextmanager
def progress_bar(text: str, unit: str = "images") -> Iterator[Callable[[int, int], None]]:
    """A `counting_bar` for `on_progress(done, total)`."""
    with counting_bar(unit) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def transfer_bars() -> Iterator[Callable[[str, str, int, int | None], None]]:
    """A bar for each file on a terminal, elsewhere a line for each stage, on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    stages: dict[str, tuple[str, TaskID]] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:

        def show(name: str, stage: str, done: int, total: int | None) -> None:
            before = stages.get(name)
            if before is None or before[0] != stage:
                if before is not None:
                    bar.remove_task(before[1])
                stages[name] = (stage, bar.add_task(f"{name} {stage}", total=total))
                if not console.is_terminal:
                    print(f"{name}: {stage}", file=sys.stderr, flush=True)
            bar.update(stages[name][1], completed=done, total=total)

        yield show


def _shown(default: Any) -> str | bool:
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default)
