#!/usr/bin/env python3
"""Makes the golden files beside this script with PyTorch (made with 2.6.0): small networks, one batch, and the losses of
20 steps of SGD (lr 0.05, momentum 0.9, weight decay 1e-3, Nesterov for the second), in float64.

usage: make_golden.py [FOLDER]

NAME.npz holds "param/<state dict name>" in PyTorch's layouts, "x", "y" (labels) and "losses".
"""
import pathlib
import sys

import numpy as np
import torch
from torch import nn

NETWORKS = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 5)),
    "mlp_ln": lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 17), nn.LayerNorm(17), nn.GELU(),
                                    nn.Linear(17, 8), nn.LayerNorm(8), nn.SiLU(), nn.Linear(8, 5)),
}


def make(name, folder):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = NETWORKS[name]().double()
    x, y = torch.randn(7, 1, 3, 4, dtype=torch.float64), torch.randint(0, 5, (7,))
    arrays = {f"param/{key}": value.detach().numpy().copy() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3, nesterov=name == "mlp_ln")
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y, label_smoothing=0.1)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    np.savez(folder / f"{name}.npz", x=x.numpy(), y=y.numpy(), losses=np.array(losses), **arrays)
    print(name, losses[0], losses[-1])


if __name__ == "__main__":
    for network in NETWORKS:
        make(network, pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
