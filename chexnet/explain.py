"""Where the network looked: heatmaps of every class from one forward pass.

Shapes: B batch, C = 1024 channels, D classes, h w cells (H/32, W/32).

DenseNet-121 ends in ReLU, average pooling and one linear layer. For the activation A (C, h, w) that
the pooling sees, the gradient of class c's logit is w_ck / (h w) in every cell of channel k, so
Grad-CAM (Selvaraju et al., ICCV 2017) of class c is ReLU(sum_k w_ck A_k / (h w)), and the cells of
that sum, before the ReLU, and the bias add up to the logit. No backward pass is needed.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the page needs the names below at once, and torch takes seconds to import
    import torch

    from chexnet.model import DenseNet121

CLOSED_FORM = "Grad-CAM"
PACKAGE = {
    "Grad-CAM++": "GradCAMPlusPlus",
    "HiResCAM": "HiResCAM",
    "XGrad-CAM": "XGradCAM",
    "LayerCAM": "LayerCAM",
    "EigenCAM": "EigenCAM",
    "EigenGrad-CAM": "EigenGradCAM",
}
"""Methods of the `grad-cam` package that need at most one backward pass, by their usual name."""

METHODS = (CLOSED_FORM, *PACKAGE)


@dataclass(frozen=True)
class Explanation:
    """Logits, and what each cell adds to them.

    Attributes:
        logits: float32 (B, D).
        contributions: float32 (B, D, h, w), in logits; their sum over the cells is the logit less
            the class's bias. A negative one is evidence against the finding.
    """

    logits: "torch.Tensor"
    contributions: "torch.Tensor"

    @property
    def heatmaps(self) -> "torch.Tensor":
        """What the logit, less its bias, would be if every cell looked like this one: (B, D, h, w).

        At least 0: only positive contributions are shown, as in Grad-CAM.
        """
        cells = self.contributions.shape[-2] * self.contributions.shape[-1]
        return self.contributions.relu() * cells


def explain(model: "DenseNet121", images: "torch.Tensor") -> Explanation:
    """Logits and the contributions of all cells for all classes.

    Args:
        model: in eval mode.
        images: normalised (B, 3, H, W), on the model's device.
    """
    import torch

    with torch.inference_mode():
        activation = model.activation(images)
        cells = activation.shape[-2] * activation.shape[-1]
        weights = model.classifier.weight[:, :, None, None] / cells
        contributions = torch.nn.functional.conv2d(activation, weights)
        logits = model.classifier(activation.mean(dim=(2, 3)))
    return Explanation(logits.float(), contributions.float())
