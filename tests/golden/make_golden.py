#!/usr/bin/env python3
"""Makes the golden files beside this script with PyTorch (made with 2.6.0): small networks, one batch, and the losses of
20 steps of SGD (momentum 0.9, weight decay 1e-3, Nesterov for mlp_ln), in float64.

usage: make_golden.py [FOLDER]

NAME.npz holds "param/<state dict name>" in PyTorch's layouts, "x", "y" (labels), "losses", and "after/<state dict name>"
as the steps leave it. The last seven networks have the layers of the benchmark models, with fewer channels.

conv.npz holds single convolutions: "NAME/weight", "/bias" (where there is one), "/x" and "/dy" as they were drawn, and
"/y", "/dx", "/dweight" and "/dbias" in float64.
"""
import pathlib
import sys

import numpy as np
import torch
from torch import nn


def flatten():
    """What is flattened is not one channel: each parameter along it has PyTorch's order."""
    return nn.Sequential(nn.Flatten(), nn.LayerNorm(24), nn.PReLU(24), nn.Identity(), nn.Linear(24, 9), nn.ReLU(),
                         nn.Linear(9, 5))


def flatten_bn():
    return nn.Sequential(nn.Flatten(), nn.ReLU(), nn.BatchNorm1d(24), nn.Linear(24, 5))


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 5))


def mlp_ln():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 17), nn.LayerNorm(17), nn.GELU(), nn.Linear(17, 8),
                         nn.LayerNorm(8), nn.SiLU(), nn.Linear(8, 5))


def neupy_gn():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(4, 8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.GroupNorm(4, 8),
                         nn.ReLU(), nn.Flatten(), nn.Linear(48, 5))


def mnist_bn():
    def block(inputs, outputs, kernel):
        return [nn.Conv2d(inputs, outputs, kernel), nn.ReLU(), nn.Conv2d(outputs, outputs, kernel), nn.ReLU(),
                nn.BatchNorm2d(outputs), nn.MaxPool2d(2)]
    return nn.Sequential(*block(1, 4, 5), *block(4, 6, 3), nn.Flatten(), nn.Linear(12, 5))


class Res(nn.Module):
    def __init__(self, channels, norm):
        super().__init__()
        self.a = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.n = norm(channels)
        self.b = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.m = norm(channels)

    def forward(self, x):
        return nn.functional.relu(x + self.m(self.b(nn.functional.relu(self.n(self.a(x))))))


def resnet9(norm):
    def block(inputs, outputs):
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), norm(outputs), nn.ReLU()]
    return nn.Sequential(*block(3, 4), *block(4, 4), nn.MaxPool2d(2), Res(4, norm), *block(4, 6), nn.MaxPool2d(2),
                         *block(6, 6), nn.MaxPool2d(2), Res(6, norm), nn.AdaptiveMaxPool2d(1), nn.Flatten(),
                         nn.Linear(6, 5))


def voxel_bn3d():
    def block(inputs, outputs):
        return [nn.Conv3d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs), nn.ReLU()]
    return nn.Sequential(*block(1, 4), nn.MaxPool3d(2), *block(4, 4), nn.MaxPool3d(2), *block(4, 6),
                         nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 5))


# name: (model, shape of a sample, learning rate)
NETWORKS = {
    "flatten": (flatten, (3, 4, 2), 0.05),
    "flatten_bn": (flatten_bn, (3, 4, 2), 0.05),
    "mlp": (mlp, (1, 3, 4), 0.05),
    "mlp_ln": (mlp_ln, (1, 3, 4), 0.05),
    "neupy_gn": (neupy_gn, (1, 7, 6), 0.05),
    "mnist_bn": (mnist_bn, (1, 20, 24), 0.01),
    "resnet9_bn": (lambda: resnet9(nn.BatchNorm2d), (3, 16, 8), 0.01),
    "resnet9_gn": (lambda: resnet9(lambda channels: nn.GroupNorm(2, channels)), (3, 16, 8), 0.01),
    "voxel_bn3d": (voxel_bn3d, (1, 4, 8, 6), 0.01),
}

# name: (layer, shape of a sample)
CONVS = {
    "plain1d": (lambda: nn.Conv1d(3, 4, 3), (3, 9)),
    "strided1d": (lambda: nn.Conv1d(2, 4, 4, stride=3, padding=2, dilation=2, groups=2), (2, 13)),
    "plain2d": (lambda: nn.Conv2d(3, 5, (3, 2), padding=(1, 0)), (3, 6, 7)),
    "strided2d": (lambda: nn.Conv2d(4, 6, 3, stride=(2, 3), padding=2, dilation=(1, 2), groups=2, bias=False), (4, 7, 9)),
    "same2d": (lambda: nn.Conv2d(2, 3, (4, 2), padding="same", dilation=(1, 3)), (2, 5, 6)),
    "depthwise2d": (lambda: nn.Conv2d(3, 6, 3, padding=1, groups=3), (3, 5, 4)),
    "plain3d": (lambda: nn.Conv3d(2, 3, (2, 3, 1), stride=(1, 2, 1), padding=(1, 0, 0)), (2, 3, 5, 4)),
    "transposed1d": (lambda: nn.ConvTranspose1d(3, 4, 3, stride=2, padding=1, output_padding=1), (3, 5)),
    "transposed2d": (lambda: nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=(0, 1), output_padding=(1, 0),
                                                dilation=(2, 1), groups=2), (4, 3, 4)),
    "transposed3d": (lambda: nn.ConvTranspose3d(2, 3, 2, stride=2, bias=False), (2, 2, 3, 2)),
}


def make_convs(folder):
    torch.manual_seed(0)
    arrays = {}
    for name, (layer, shape) in CONVS.items():
        conv = layer()
        x = torch.randn(2, *shape)
        dy = torch.randn_like(conv(x))
        drawn = {"x": x, "dy": dy, **dict(conv.named_parameters())}
        arrays.update({f"{name}/{key}": value.detach().numpy().copy() for key, value in drawn.items()})
        conv, x = conv.double(), x.double().requires_grad_()
        y = conv(x)
        y.backward(dy.double())
        found = {"y": y, "dx": x.grad, **{f"d{key}": value.grad for key, value in conv.named_parameters()}}
        arrays.update({f"{name}/{key}": value.detach().numpy() for key, value in found.items()})
    np.savez_compressed(folder / "conv.npz", **arrays)


def state(prefix, model, dtype):
    """Integers, such as the batches that a norm has seen, stay integers."""
    return {f"{prefix}/{key}": value.detach().to(dtype).numpy().copy() if value.is_floating_point() else value.numpy().copy()
            for key, value in model.state_dict().items()}


def make(name, folder):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network, shape, rate = NETWORKS[name]
    model = network().double()
    x, y = torch.randn(7, *shape), torch.randint(0, 5, (7,))
    arrays = state("param", model, torch.float32)  # as they were drawn
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=1e-3, nesterov=name == "mlp_ln")
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x.double()), y, label_smoothing=0.1)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    np.savez_compressed(folder / f"{name}.npz", x=x.numpy(), y=y.numpy(), losses=np.array(losses), **arrays,
                        **state("after", model, torch.float64))
    print(name, losses[0], losses[-1])


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    make_convs(target)
    for network in NETWORKS:
        make(network, target)
