#!/usr/bin/env python3
"""Makes norm_torch.npz beside this script with PyTorch (made with 1.13.1): normalizations in float64, forward and backward.

usage: make_norm_golden.py [FOLDER]

"NAME/x" and "/dy" as they were drawn, with the channels last, "/weight" and "/bias" (where there are any), and "/y",
"/dx", "/dweight" and "/dbias"; batch norm also has "/mean_before", "/var_before", "/mean_after" and "/var_after", whose
momentum is the weight of the new value, 0.1 unless the name says so. Group norms are called group_GROUPS_SHAPE.
"""
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

arrays = {}


def first(a):
    """The channels, which lie last, where PyTorch has them."""
    return torch.movedim(a, -1, 1)


def add(name, f, shape, parameters, channels_last=True, **more):
    """f(x, weight, bias), with weight and bias of the shape `parameters`, or none where that is None."""
    leaf = lambda *sizes: torch.randn(*sizes, dtype=torch.float64).requires_grad_()
    x = (torch.randn(*shape, dtype=torch.float64) * 2 + 1).requires_grad_()
    weight, bias = (leaf(*parameters), leaf(*parameters)) if parameters is not None else (None, None)
    y = f(first(x), weight, bias).movedim(1, -1) if channels_last else f(x, weight, bias)
    dy = torch.randn_like(y)
    y.backward(dy)
    found = {"x": x, "dy": dy, "y": y, "dx": x.grad, **more}
    if weight is not None:
        found |= {"weight": weight, "bias": bias, "dweight": weight.grad, "dbias": bias.grad}
    arrays.update({f"{name}/{key}": value.detach().numpy().copy() for key, value in found.items()})


def label(shape):
    return "x".join(map(str, shape))


def add_batch(shape, training, momentum, affine=True):
    channels = shape[-1]
    mean, var = torch.randn(channels, dtype=torch.float64), torch.rand(channels, dtype=torch.float64) + 0.5
    after = {"mean_after": mean.clone(), "var_after": var.clone()}
    name = f"batch_{'train' if training else 'eval'}_{momentum}_{label(shape)}"
    add(name, lambda x, w, b: F.batch_norm(x, after["mean_after"], after["var_after"], w, b, training, momentum, 1e-5),
        shape, (channels,) if affine else None, mean_before=mean, var_before=var)
    arrays.update({f"{name}/{key}": value.numpy() for key, value in after.items()})


def main(folder):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for groups, shape in ((2, (3, 6)), (3, (2, 5, 9)), (1, (2, 3, 4, 5)), (4, (2, 2, 3, 2, 8))):
        add(f"group_{groups}_{label(shape)}", lambda x, w, b: F.group_norm(x, groups, w, b, 1e-5), shape, shape[-1:])
    for axes, shape in ((1, (4, 7)), (1, (2, 3, 17)), (2, (3, 4, 5)), (3, (2, 2, 3, 4))):
        add(f"layer_{axes}_{label(shape)}", lambda x, w, b: F.layer_norm(x, shape[-axes:], w, b, 1e-5), shape, shape[-axes:], False)
    for shape in ((3, 5, 4), (2, 3, 4, 5), (2, 2, 3, 2, 3)):
        add(f"instance_{label(shape)}", lambda x, w, b: F.instance_norm(x, weight=w, bias=b, eps=1e-5), shape, shape[-1:])
    add_batch((6, 4), True, 0.1)
    add_batch((3, 5, 3), True, 0.3, affine=False)
    add_batch((2, 3, 4, 5), True, 0.1)
    add_batch((2, 2, 3, 2, 4), True, 1.0)
    add_batch((6, 4), False, 0.1)
    add_batch((2, 3, 4, 5), False, 0.1)
    for size, alpha, beta, k, shape in ((3, 0.5, 0.75, 2.0, (2, 3, 7)), (5, 1e-4, 0.75, 1.0, (2, 2, 3, 9)), (4, 0.3, 0.6, 1.5, (2, 3, 2, 6))):
        add(f"local_response_{size}_{label(shape)}", lambda x, w, b: F.local_response_norm(x, size, alpha, beta, k), shape, None,
            options=torch.tensor([size, alpha, beta, k], dtype=torch.float64))
    np.savez_compressed(folder / "norm_torch.npz", **arrays)
    print(f"{len({name.split('/')[0] for name in arrays})} cases")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
