#!/usr/bin/env python3
"""The other side of the comparison: train steps of the benchmark models with PyTorch on the CPU.

usage: torch_train.py [--models a,b] [--modes eager,nhwc,bf16,bf16_nhwc] [--threads N] [--seconds S]
       torch_train.py --dump FOLDER [--models a,b]
       torch_train.py --memory --models a --modes eager [--threads N]

A step is zero_grad, forward, cross-entropy, backward and SGD (lr 0.001, momentum 0.9) on random data in memory.
Modes: PyTorch's own layout or channels last (nhwc), in fp32 or in bf16 by autocast of the forward pass and the loss.
Prints one JSON object a line. With --dump it writes FOLDER/MODEL.npz instead: "param/<state dict name>" in PyTorch's
layouts, one batch "x" and "y", the "losses" of 20 steps on it, which `train_step --check` must meet, and "losses_nhwc",
those of the same steps with channels last: where rounding makes ReLU and max pooling choose differently, they wander.
With --memory it tells by how much the process grew in 5 steps.
"""
import argparse
import json
import statistics
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


def mlp_ln():
    def block(inputs, outputs):
        return [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *block(784, 512), *block(512, 512), nn.Linear(512, 10))


def neupy_gn():
    """The example of neupy's documentation of GroupNorm."""
    def block(inputs):
        return [nn.Conv2d(inputs, 16, 3), nn.GroupNorm(4, 16), nn.ReLU()]
    return nn.Sequential(*block(1), *block(16), nn.Flatten(), nn.Linear(24 * 24 * 16, 10))


def mnist_bn():
    def block(inputs, outputs, kernel):
        convolutions = [nn.Conv2d(inputs, outputs, kernel), nn.ReLU(), nn.Conv2d(outputs, outputs, kernel), nn.ReLU()]
        return [*convolutions, nn.BatchNorm2d(outputs), nn.MaxPool2d(2)]
    return nn.Sequential(*block(1, 32, 5), *block(32, 64, 3), nn.Flatten(), nn.Linear(3 * 3 * 64, 10))


class Res(nn.Module):
    def __init__(self, channels, norm):
        super().__init__()
        self.a = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.n = norm(channels)
        self.b = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.m = norm(channels)

    def forward(self, x):
        inner = F.relu(self.n(self.a(x)))
        return F.relu(x + self.m(self.b(inner)))


def resnet9(norm):
    def block(inputs, outputs):
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), norm(outputs), nn.ReLU()]
    return nn.Sequential(*block(3, 64), *block(64, 128), nn.MaxPool2d(2), Res(128, norm),
                         *block(128, 256), nn.MaxPool2d(2), *block(256, 256), nn.MaxPool2d(2), Res(256, norm),
                         nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(256, 10))


def resnet9_bn():
    return resnet9(nn.BatchNorm2d)


def resnet9_gn():
    return resnet9(lambda channels: nn.GroupNorm(32, channels))


def voxel_bn3d():
    def block(inputs, outputs):
        return [nn.Conv3d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs), nn.ReLU()]
    return nn.Sequential(*block(1, 16), nn.MaxPool3d(2), *block(16, 32), nn.MaxPool3d(2), *block(32, 64),
                         nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(64, 10))


# name: (model, shape of a sample, batch)
MODELS = {
    "mlp": (mlp, (1, 28, 28), 64),
    "mlp_ln": (mlp_ln, (1, 28, 28), 128),
    "neupy_gn": (neupy_gn, (1, 28, 28), 64),
    "mnist_bn": (mnist_bn, (1, 28, 28), 128),
    "resnet9_bn": (resnet9_bn, (3, 32, 32), 64),
    "resnet9_gn": (resnet9_gn, (3, 32, 32), 64),
    "voxel_bn3d": (voxel_bn3d, (1, 16, 28, 28), 16),
}


class Run:
    def __init__(self, name, mode="eager"):
        torch.manual_seed(0)
        make, shape, self.batch = MODELS[name]
        self.model, self.x = make(), torch.randn(self.batch, *shape)
        self.y = torch.randint(0, 10, (self.batch,))
        self.bf16 = mode.startswith("bf16")
        if mode.endswith("nhwc"):
            layout = torch.channels_last if len(shape) == 3 else torch.channels_last_3d
            self.model, self.x = self.model.to(memory_format=layout), self.x.to(memory_format=layout)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            loss = F.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss


def dump(name, folder):
    run, other = Run(name), Run(name, "nhwc")
    arrays = {f"param/{key}": value.detach().numpy().copy() for key, value in run.model.state_dict().items()}
    losses, losses_nhwc = (np.array([part.step().item() for _ in range(20)]) for part in (run, other))
    np.savez(f"{folder}/{name}.npz", x=run.x.numpy(), y=run.y.numpy(), losses=losses, losses_nhwc=losses_nhwc, **arrays)


def measure(name, mode, seconds):
    run, times = Run(name, mode), []
    for _ in range(3):
        run.step()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        run.step()
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    return {"peer": "torch-" + torch.__version__, "model": name, "mode": mode, "batch": run.batch,
            "threads": torch.get_num_threads(), "ms_median": round(median * 1e3, 4),
            "ms_min": round(min(times) * 1e3, 4), "images_per_s": round(run.batch / median, 1)}


def status_mib(key):
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key + ":")) / 1024


def memory(name, mode):
    run = Run(name, mode)
    before = status_mib("VmRSS")
    for _ in range(5):
        run.step()
    return {"peer": "torch-" + torch.__version__, "model": name, "mode": mode, "batch": run.batch,
            "threads": torch.get_num_threads(), "steps": 5, "growth_mib": round(status_mib("VmHWM") - before, 1)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--modes", default="eager,nhwc")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--dump", default="")
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1 if options.dump else options.threads)
    for name in options.models.split(","):
        if options.dump:
            dump(name, options.dump)
            continue
        for mode in options.modes.split(","):
            row = memory(name, mode) if options.memory else measure(name, mode, options.seconds)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
