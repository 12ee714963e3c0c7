#!/usr/bin/env python3
"""Makes the golden files beside this script with PyTorch (made with 2.6.0, weights.npz with 1.13.1): small networks, one
batch, and the losses of 20 steps of SGD (momentum 0.9, weight decay 1e-3, Nesterov for mlp_ln), in float64.

usage: make_golden.py [FOLDER]

NAME.npz holds "param/<state dict name>" in PyTorch's layouts, "x", "y" (labels), "losses", and "after/<state dict name>"
as the steps leave it. The networks from neupy_gn to voxel_bn3d have the layers of the benchmark models, with fewer
channels.

conv.npz holds single convolutions: "NAME/weight", "/bias" (where there is one), "/x" and "/dy" as they were drawn, and
"/y", "/dx", "/dweight" and "/dbias" in float64.

pool.npz holds pooling, interpolation and padding: "NAME/x" and "/dy" as they were drawn, with equal elements, and
"/y" and "/dx" in float64; those whose name ends in "nan" have NaNs and infinities.
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


def weights():
    """Weights that are made from others, in their two ways, around each kind of layer."""
    direction, spectral = nn.utils.weight_norm, nn.utils.spectral_norm
    return nn.Sequential(direction(nn.Conv2d(2, 4, 3, padding=1)), nn.ReLU(), spectral(nn.Conv2d(4, 6, (3, 2), bias=False)),
                         nn.ReLU(), direction(nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2), dim=1), nn.ReLU(),
                         spectral(nn.ConvTranspose2d(4, 3, (2, 3))), nn.ReLU(),
                         direction(nn.ConvTranspose2d(3, 2, 2)), nn.Flatten(), direction(nn.Linear(144, 7), dim=None),
                         nn.ReLU(), spectral(nn.Linear(7, 6), n_power_iterations=2), nn.ReLU(),
                         direction(nn.Linear(6, 5)))


# name: (model, shape of a sample, learning rate)
NETWORKS = {
    "flatten": (flatten, (3, 4, 2), 0.05),
    "flatten_bn": (flatten_bn, (3, 4, 2), 0.05),
    "mlp": (mlp, (1, 3, 4), 0.05),
    "mlp_ln": (mlp_ln, (1, 3, 4), 0.05),
    "neupy_gn": (neupy_gn, (1, 7, 6), 0.05),
    "mnist_bn": (mnist_bn, (1, 20, 24), 0.001),
    "resnet9_bn": (lambda: resnet9(nn.BatchNorm2d), (3, 16, 8), 0.01),
    "resnet9_gn": (lambda: resnet9(lambda channels: nn.GroupNorm(2, channels)), (3, 16, 8), 0.01),
    "voxel_bn3d": (voxel_bn3d, (1, 4, 8, 6), 0.01),
    "weights": (weights, (2, 5, 4), 0.02),
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


# name: (layer, shape of a sample)
POOLS = {
    "max1d": (nn.MaxPool1d(2), (3, 9)),
    "max2d": (nn.MaxPool2d(2), (3, 7, 6)),
    "max2d_overlap": (nn.MaxPool2d(3, 2, 1), (2, 8, 9)),
    "max2d_ceil": (nn.MaxPool2d((2, 3), (2, 3), (0, 1), ceil_mode=True), (3, 7, 8)),
    "max2d_gaps_ceil": (nn.MaxPool2d(2, 5, ceil_mode=True), (2, 7, 6)),
    "max2d_dilated": (nn.MaxPool2d((3, 2), 2, 1, dilation=(2, 3)), (2, 9, 8)),
    "max2d_larger_ceil": (nn.MaxPool2d(3, 3, ceil_mode=True), (2, 2, 1)),
    "max2d_nan": (nn.MaxPool2d(3, 2, 1), (2, 8, 9)),
    "max3d": (nn.MaxPool3d((2, 3, 2), (2, 1, 2), (1, 1, 0)), (2, 4, 5, 6)),
    "max3d_nan": (nn.MaxPool3d(2), (2, 4, 5, 6)),
    "avg1d": (nn.AvgPool1d(3, 2, 1), (3, 10)),
    "avg2d": (nn.AvgPool2d(2), (3, 7, 6)),
    "avg2d_ceil": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 8, 6)),
    "avg2d_inside": (nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 8, 6)),
    "avg2d_divisor": (nn.AvgPool2d((2, 3), divisor_override=5), (2, 8, 6)),
    "avg3d": (nn.AvgPool3d(3, 2, (1, 0, 1), ceil_mode=True), (2, 5, 6, 4)),
    "adaptive_max1d": (nn.AdaptiveMaxPool1d(4), (3, 10)),
    "adaptive_max2d": (nn.AdaptiveMaxPool2d((3, 7)), (2, 8, 5)),
    "adaptive_max2d_nan": (nn.AdaptiveMaxPool2d((3, None)), (2, 8, 5)),
    "adaptive_max3d": (nn.AdaptiveMaxPool3d(1), (2, 3, 4, 5)),
    "adaptive_avg1d": (nn.AdaptiveAvgPool1d(7), (3, 10)),
    "adaptive_avg2d": (nn.AdaptiveAvgPool2d((3, 7)), (2, 8, 5)),
    "adaptive_avg3d": (nn.AdaptiveAvgPool3d((2, 1, 3)), (2, 3, 4, 5)),
    "nearest1d": (nn.Upsample(scale_factor=3), (2, 5)),
    "nearest2d": (nn.Upsample(size=(11, 3)), (2, 7, 6)),
    "nearest2d_factor": (nn.Upsample(scale_factor=(1.7, 0.6)), (2, 7, 6)),
    "nearest3d": (nn.Upsample(scale_factor=(1, 2, 1.5)), (2, 3, 3, 5)),
    "linear1d": (nn.Upsample(scale_factor=2, mode="linear"), (3, 5)),
    "bilinear2d": (nn.Upsample(size=(9, 4), mode="bilinear"), (2, 5, 7)),
    "bilinear2d_factor": (nn.Upsample(scale_factor=(1.7, 0.6), mode="bilinear"), (2, 5, 7)),
    "bilinear2d_corners": (nn.Upsample(size=(9, 4), mode="bilinear", align_corners=True), (2, 5, 7)),
    "trilinear3d": (nn.Upsample(scale_factor=1.5, mode="trilinear"), (2, 3, 4, 2)),
    "trilinear3d_corners": (nn.Upsample(size=(1, 6, 3), mode="trilinear", align_corners=True), (2, 3, 4, 2)),
    "reflect2d": (nn.ReflectionPad2d((1, 2, 3, 0)), (2, 5, 4)),
    "replicate3d": (nn.ReplicationPad3d((1, 2, 3, 0, 0, 1)), (2, 2, 3, 4)),
    "circular2d": (nn.CircularPad2d((1, 2, 3, 0)), (2, 5, 4)),
    "constant1d": (nn.ConstantPad1d((1, 2), 0.5), (2, 5)),
}


def make_pools(folder):
    torch.manual_seed(0)
    arrays = {}
    for name, (layer, shape) in POOLS.items():
        x = (torch.randn(2, *shape) * 4).round() / 4
        if name.endswith("nan"):
            x[torch.rand_like(x) < 0.1] = float("nan")
            x[torch.rand_like(x) < 0.4] = -float("inf")
            x[torch.rand_like(x) < 0.1] = float("inf")
        dy = torch.randn_like(layer(x))
        wide = x.double().requires_grad_()
        y = layer(wide)
        y.backward(dy.double())
        found = {"x": x, "dy": dy, "y": y, "dx": wide.grad}
        arrays.update({f"{name}/{key}": value.detach().numpy() for key, value in found.items()})
    np.savez_compressed(folder / "pool.npz", **arrays)


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
    make_pools(target)
    for network in NETWORKS:
        make(network, target)
