"""The errors this package raises on purpose.

Each message is fit to be shown to a user: what was found, what was expected, what to do next.
"""


class ChexnetError(Exception):
    """Base of all: a command prints its message without a traceback and exits with 1."""


class ConfigError(ChexnetError):
    """An option, or a combination of options, cannot be carried out."""


class DataError(ChexnetError):
    """A table, list, folder or pack is missing or is not what it should be."""


class LeakError(DataError):
    """The figures asked for would be measured on what the network was trained on."""


class ImageError(DataError):
    """One picture cannot be read as a radiograph; the message can be shown to a visitor."""


class CheckpointError(ChexnetError):
    """A weights file or a checkpoint is damaged, foreign or of another configuration."""


class ExportError(ChexnetError):
    """A network that ONNX cannot say, or says otherwise than PyTorch."""


class FetchError(ChexnetError):
    """Something could not be fetched: no network, no room, or not what was expected."""
