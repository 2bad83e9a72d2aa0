"""How dev.gate learns: augmentation on whole batches, training.

Shapes: B batch, H W pixels, K kinds.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from chexnet.files import replacing
from chexnet.inference.gate import KINDS, THUMBNAIL
from dev.gate import making
from dev.gate.pictures import Pictures

BATCH = {"radiograph": 72, "phantom": 14, "turned": 86, "photograph": 54, "slice": 30, "text": 20}
BATCH |= {"side view": 52, "piece": 22}
PIECES, PIECE_SEED = 2500, 4


class Net(nn.Module):
    """The network of `chexnet.inference.gate` with the normalisation that training wants."""

    def __init__(self) -> None:
        super().__init__()
        channels, sizes = (1, 12, 24, 48, 64), (5, 3, 3, 3)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels[n], channels[n + 1], size, 2, size // 2, bias=False)
            for n, size in enumerate(sizes)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in channels[1:])
        self.hidden = nn.Linear(64 * (THUMBNAIL // 16) ** 2, 32)
        self.last = nn.Linear(32, len(KINDS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) in [-1, 1] to logits (B, K)."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = functional.relu(norm(convolution(x)))
        x = functional.dropout(x.flatten(1), 0.3, self.training)
        return self.last(functional.relu(self.hidden(x)))

    def layers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weights and biases as the gate uses them: each norm folded into its convolution."""
        folded = []
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = convolution.weight * scale[:, None, None, None]
            folded.append((weight, norm.bias - norm.running_mean * scale))
        folded += [(layer.weight, layer.bias) for layer in (self.hidden, self.last)]
        return [(w.detach().numpy(), b.detach().numpy()) for w, b in folded]


def augmented(
    pictures: np.ndarray, random: torch.Generator, *, turn: float, zoom: tuple[float, float]
) -> torch.Tensor:
    """Cut thumbnails: turned by degrees, zoomed, shifted, mirrored, exposed anew; in [0, 1].

    Args:
        pictures: uint8 (B, SIDE, SIDE).
        random: where the random numbers come from.
        turn: standard deviation in degrees.
        zoom: least and greatest share of the side that is kept; above 1 there is a border.

    Returns:
        float32 (B, 1, THUMBNAIL, THUMBNAIL), stretched by percentiles as the gate does.
    """
    count = len(pictures)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=random)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=random)

    x = torch.from_numpy(pictures)[:, None].float() / 255
    angle = torch.deg2rad(turn * normal().clamp(-2.5, 2.5))
    size, aspect = uniform(*zoom), torch.exp(0.1 * normal())
    mirror = torch.sign(uniform(-1, 1))
    shift = 0.06 * normal(2)
    cos, sin = torch.cos(angle), torch.sin(angle)
    matrix = torch.stack(
        [
            torch.stack([mirror * size * aspect * cos, -size * sin, shift[:, 0]], 1),
            torch.stack([mirror * size * aspect * sin, size * cos, shift[:, 1]], 1),
        ],
        1,
    )
    grid = functional.affine_grid(matrix, [count, 1, THUMBNAIL, THUMBNAIL], align_corners=False)
    border = uniform(0, 1, 1, 1, 1) < 0.5  # a black, gray or white border, or the edge goes on
    tone = torch.round(2 * uniform(0, 1, 1, 1, 1)) / 2
    near = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    framed = functional.grid_sample(x - tone, grid, align_corners=False) + tone
    x = torch.where(border, framed, near)
    x = _stretch(x) ** torch.exp(0.4 * normal(1, 1, 1))
    if torch.rand((), generator=random) < 0.3:
        x = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    light = torch.linspace(-1, 1, THUMBNAIL)
    x = x + 0.06 * normal(1, 1, 1) * light + 0.06 * normal(1, 1, 1) * light[:, None]
    x = x + uniform(0, 0.05, 1, 1, 1) * normal(1, THUMBNAIL, THUMBNAIL)
    # A window too narrow: what lies outside is black or white.
    clip = uniform(0, 0.12, 1, 1, 1) * (uniform(0, 1, 1, 1, 1) < 0.4)
    x = (_stretch(x) - clip) / (1 - 2 * clip)
    return x.clamp(0, 1)


def on_plates(drawn: torch.Tensor, real: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Give drawn radiographs the tones and the grain of real ones, each to a random degree.

    A drawing is smooth and its tones are guessed; neither may be what tells it from a radiograph.

    Args:
        drawn: (B, 1, H, W) in [0, 1].
        real: at least as many radiographs of the same size.
        random: where the random numbers come from.

    Returns:
        (B, 1, H, W) in [0, 1].
    """
    count = len(drawn)

    def some() -> torch.Tensor:
        return real[torch.randperm(len(real), generator=random)[:count]]

    def share(often: float) -> torch.Tensor:
        on = torch.rand(count, 1, 1, 1, generator=random) < often
        return torch.rand(count, 1, 1, 1, generator=random) * on

    flat = drawn.flatten(1)
    # Pixels of one tone, as in the air, share the lowest of their ranks: they stay of one tone.
    ranks = torch.searchsorted(flat.sort(dim=1).values, flat)
    toned = some().flatten(1).sort(dim=1).values.gather(1, ranks).view_as(drawn)
    drawn = drawn + share(0.5) * (toned - drawn)
    plates = some()
    grain = plates - functional.avg_pool2d(plates, 5, 1, 2, count_include_pad=False)
    shift = [int(n) for n in torch.randint(0, drawn.shape[-1], (2,), generator=random)]
    return (drawn + 1.2 * share(0.7) * grain.roll(shift, (2, 3))).clamp(0, 1)


def _stretch(x: torch.Tensor) -> torch.Tensor:
    # Of every other row and column: sorting all would take half of the time.
    flat = x[:, :, ::2, ::2].flatten(1).sort(dim=1).values
    ends = [round((flat.shape[1] - 1) * share) for share in (0.01, 0.99)]
    low, high = (flat[:, end, None, None, None] for end in ends)
    return ((x - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)


def train(
    pictures: Pictures, chosen: np.ndarray, steps: int, on_progress: Callable[[int, int], None]
) -> Net:
    """Train on the chosen radiographs and on everything else."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = Net()
    random, picks = torch.Generator().manual_seed(0), np.random.default_rng(0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    real = pictures.radiographs[chosen]
    pieces = making.many(PIECES, PIECE_SEED, lambda random: making.piece(real, random))
    others = pictures.others | {"piece": np.concatenate([pieces, pictures.others["limb"]])}

    def some(source: np.ndarray, count: int) -> np.ndarray:
        return source[picks.integers(0, len(source), count)]

    half = BATCH["turned"] - BATCH["phantom"]
    labels = torch.tensor(
        [0] * (BATCH["radiograph"] + BATCH["phantom"])
        + [1] * BATCH["turned"]
        + [KINDS.index(name) for name in KINDS[2:] for _ in range(BATCH[name])]
        + [1] * BATCH["piece"]
    )
    net.train()
    for step in range(steps):
        upright = np.concatenate(
            [
                some(real, BATCH["radiograph"] + half),
                some(pictures.phantoms, 2 * BATCH["phantom"]),
            ]
        )
        x = augmented(upright, random, turn=5, zoom=(0.78, 1.06))
        views = picks.integers(1, 8, BATCH["turned"])
        turned = torch.cat([x[:half], x[-BATCH["phantom"] :]])
        kept = x[half : -BATCH["phantom"]]
        turned = torch.stack(
            [
                torch.rot90(image if view < 4 else 1 - image, int(view % 4), (1, 2))
                for image, view in zip(turned, views, strict=True)
            ]
        )
        rest = {
            name: augmented(some(others[name], BATCH[name]), random, turn=8, zoom=(0.6, 1.1))
            for name in (*KINDS[2:], "piece")
        }
        rest["side view"] = on_plates(rest["side view"], x[: BATCH["radiograph"]], random)
        odd = torch.cat(list(rest.values()))
        # Anything else stays so when it is inverted.
        flip = torch.rand(len(odd), 1, 1, 1, generator=random) < 0.25
        x = torch.cat([kept, turned, torch.where(flip, 1 - odd, odd)])
        loss = functional.cross_entropy(net(2 * x - 1), labels, label_smoothing=0.01)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        on_progress(step + 1, steps)
    return net.eval()


def learn(
    pictures: Pictures, out: Path, steps: int, on_progress: Callable[[int, int], None]
) -> None:
    """Train the gate that is shipped and write its numbers."""
    net = train(pictures, pictures.learned, steps, on_progress)
    numbers: dict[str, np.ndarray] = {}
    for number, (weight, bias) in enumerate(net.layers()):
        numbers |= {f"weight{number}": weight.astype(np.float16), f"bias{number}": bias}
    with replacing(out) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **numbers)
