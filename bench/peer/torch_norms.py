#!/usr/bin/env python3
"""The other side of the comparison: norms with what follows them, forward and backward, with PyTorch on the CPU.

usage: torch_norms.py [--threads N] [--seconds S] [--only TEXT]

Each case is timed in both memory layouts, where x has channels, and with a ReLU that writes a new tensor or its input.
Prints one JSON object a line, with the fields of bench/norm_step; shapes are written channels last, as there.
"""
import argparse
import json
import statistics
import time

import torch
from torch.nn import functional as F

IMAGES = [(64, 28, 28, 64), (128, 14, 14, 128), (64, 8, 8, 256), (16, 16, 28, 28, 32)]
ROWS = [(4096, 256), (4096, 768), (512, 4096)]
GROUPS = 32


def median_ms(work, seconds):
    for _ in range(3):
        work()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def cases():
    """(op, shape, {mode: (norm of x, whether channels are last)}); norms take x, weight and bias."""
    def batch(x, weight, bias):
        channels = len(weight)
        return F.batch_norm(x, torch.zeros(channels), torch.ones(channels), weight, bias, True, 0.1, 1e-5)

    def group(x, weight, bias):
        return F.group_norm(x, GROUPS, weight, bias, 1e-5)

    for op, norm in (("batch_norm+relu", batch), ("group_norm32+relu", group)):
        for shape in IMAGES:
            yield op, shape, {
                f"{layout}{suffix}": (lambda x, w, b, norm=norm, relu=relu: relu(norm(x, w, b)), layout == "nhwc")
                for layout in ("nchw", "nhwc") for suffix, relu in (("", F.relu), (" in place", F.relu_))}
    for shape in ROWS:
        yield "layer_norm", shape, {
            "rows": (lambda x, w, b: F.layer_norm(x, (x.shape[-1],), w, b, 1e-5), False)}


def measure(shape, norm, last, seconds):
    parameters = [(0.5 + torch.rand(shape[-1])).requires_grad_(), torch.randn(shape[-1]).requires_grad_()]
    x = torch.randn(shape if len(shape) == 2 else (shape[0], shape[-1], *shape[1:-1])) * 2 + 0.5
    if last:
        x = x.contiguous(memory_format=torch.channels_last if x.dim() == 4 else torch.channels_last_3d)
    x.requires_grad_()
    dy = torch.randn_like(norm(x, *parameters))

    def step():
        for leaf in (x, *parameters):
            leaf.grad = None
        norm(x, *parameters).backward(dy)

    return median_ms(step, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--only", default="", help="part of 'op shape'")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for op, shape, modes in cases():
        text = "[" + ", ".join(map(str, shape)) + "]"
        if options.only not in f"{op} {text}":
            continue
        for mode, (norm, last) in modes.items():
            print(json.dumps({"peer": f"torch-{torch.__version__}", "op": op, "shape": text, "mode": mode,
                              "threads": options.threads,
                              "ms_median": measure(shape, norm, last, options.seconds)}), flush=True)


if __name__ == "__main__":
    main()
