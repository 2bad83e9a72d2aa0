import copy
import threading

import numpy as np
import pytest
import torch

from chexnet import model as model_module
from chexnet.errors import ConfigError
from chexnet.explain import METHODS, PACKAGE, explain
from chexnet.grad_cam import package_heatmap
from chexnet.model import DenseNet121

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture(scope="module")
def model(tiny_network) -> DenseNet121:
    torch.manual_seed(0)
    network = DenseNet121(6)
    with torch.no_grad():
        # Random BatchNorm statistics: with the fresh ones every map has the same shape.
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.weight.uniform_(0.5, 1.5)
        network.classifier.weight.normal_(0, 0.05)
        network.classifier.bias.normal_(0, 1)
    return network.eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(3, 3, 96, 128)


def correlation(left: torch.Tensor, right: torch.Tensor) -> float:
    return float(np.corrcoef(left.flatten().numpy(), right.flatten().numpy())[0, 1])


def test_cells_and_bias_add_up_to_the_logit(model, images):
    explanation = explain(model, images)
    assert explanation.contributions.shape == (3, 6, 3, 4)
    total = explanation.contributions.sum(dim=(2, 3)) + model.classifier.bias.detach()
    torch.testing.assert_close(total, explanation.logits, rtol=0, atol=1e-4)


def test_logits_are_those_of_the_network(model, images):
    with torch.inference_mode():
        torch.testing.assert_close(explain(model, images).logits, model(images))


def test_the_closed_form_is_the_gradient_it_stands_for(model, images):
    """Grad-CAM written out with autograd, class by class."""
    heatmaps = explain(model, images).heatmaps
    for index in range(6):
        activation = model.activation(images).detach().requires_grad_(True)
        model.classifier(activation.mean(dim=(2, 3)))[:, index].sum().backward()
        weights = activation.grad.mean(dim=(2, 3), keepdim=True)
        by_hand = torch.relu((weights * activation.detach()).sum(dim=1)) * 12
        torch.testing.assert_close(heatmaps[:, index], by_hand, rtol=1e-4, atol=1e-5)


def test_the_closed_form_equals_the_packages_grad_cam(model, images):
    grad_cam = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    from chexnet.grad_cam import _Subject

    holdout = _Subject(copy.deepcopy(model))
    compared = 0
    with grad_cam.GradCAM(model=holdout, target_layers=[holdout.last]) as cam:
        for row in range(3):
            ours = explain(model, images[row : row + 1]).heatmaps[0]
            for index in range(6):
                # The package resizes to the picture; a map of one pixel a cell is not changed.
                cam.get_target_width_height = lambda tensor: None
                theirs = cam(images[row : row + 1].clone(), [ClassifierOutputTarget(index)])[0]
                theirs = torch.from_numpy(np.asarray(theirs, np.float32))
                if not ours[index].any():
                    assert not theirs.any()
                    continue
                compared += 1
                # The package shifts a map so that its least cell is 0; so does a correlation.
                assert correlation(ours[index], theirs) > 0.999
                assert ours[index].argmax() == theirs.argmax()
    assert compared >= 9


def test_torchvisions_in_place_relu_does_not_reach_the_maps(model, images):
    """The usual tutorial takes `features`' output, which torchvision's forward overwrites."""
    theirs = model_module.densenet121(num_classes=6).eval()
    theirs.load_state_dict(model.state_dict())
    kept = []
    theirs.features.register_forward_hook(lambda module, given, out: kept.append(out))
    with torch.inference_mode():
        theirs(images)
    expected = model.classifier.weight.detach() @ kept[0].clamp(min=0).flatten(2)
    ours = explain(model, images).contributions.flatten(2) * 12
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", list(PACKAGE))
def test_every_method_of_the_package_gives_a_map_of_the_cells(model, images, method):
    pytest.importorskip("pytorch_grad_cam")
    before = copy.deepcopy(model.state_dict())
    heat = package_heatmap(model, images[:1], 2, method)
    assert heat.shape == (3, 4)
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1) or not heat.any()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_hirescam_is_grad_cam_where_pooling_and_one_layer_follow(model, images):
    """Draelos and Carin 2020: for such networks the two are the same."""
    pytest.importorskip("pytorch_grad_cam")
    ours = explain(model, images[:1]).heatmaps[0]
    index = int(ours.flatten(1).sum(dim=1).argmax())
    theirs = package_heatmap(model, images[:1], index, "HiResCAM")
    torch.testing.assert_close(ours[index] / ours[index].max(), theirs, rtol=1e-3, atol=1e-3)


def test_threads_get_the_maps_they_asked_for(model, images):
    pytest.importorskip("pytorch_grad_cam")
    expected = {i: package_heatmap(model, images[:1], i, "Grad-CAM++") for i in range(6)}
    wrong = []

    def ask(index: int) -> None:
        if not torch.equal(
            package_heatmap(model, images[:1], index, "Grad-CAM++"), expected[index]
        ):
            wrong.append(index)

    threads = [threading.Thread(target=ask, args=(number % 6,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_unknown_method_names_those_there_are(model, images):
    with pytest.raises(ConfigError, match=r"Grad-CAM, Grad-CAM\+\+"):
        package_heatmap(model, images[:1], 0, "Grad-Spam")
    assert METHODS[0] == "Grad-CAM"
