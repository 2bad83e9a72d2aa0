"""chexnet: DenseNet-121 on chest radiographs. Research and education only, not for clinical use."""

__version__ = "0.1.0"
