#!/usr/bin/env python3
"""The vectors of norm_reference.npz, which tests/autodiff/norm_reference_test.cc meets, by norm_reference.py.

usage: make_norm_reference.py               checks the formulas against differences
       make_norm_reference.py --dump FILE   and writes the vectors, FILE.npz: small arrays as "CASE/x", "CASE/y", ...
       make_norm_reference.py --check FILE  and compares them with those of FILE.npz (exit code 77: NumPy is not installed)
"""
import sys

try:
    import numpy as np
except ModuleNotFoundError:
    print("NumPy is not installed; the formulas were not checked")
    sys.exit(77)

from norm_reference import (
    F, bpnn_batch_norm, bpnn_layer_norm, bpnn_group_norm, bpl_batch_norm, bpl_layer_norm, bpl_group_norm,
    bs_batch_norm, feature_shape, bs_layer_norm, bs_rms_norm, bs_group_norm, flax_instance_norm,
    cross_replica_batch_norm, neupy_batch_norm, local_response_norm, weight_standardization, weight_norm,
    spectral_norm)

checks = 0


def close(a, b, tolerance, what):
    global checks
    a, b = np.asarray(a, F), np.asarray(b, F)
    assert a.shape == b.shape, f"{what}: {a.shape} and {b.shape}"
    error = np.max(np.abs(a - b) / (1 + np.abs(b))) if a.size else 0.0
    assert error <= tolerance, f"{what}: error {error:.3g} over {tolerance:g}"
    checks += 1


def differences(f, x, gamma=None, beta=None, what="", tolerance=2e-6, h=1e-6):
    """f(x, gamma, beta) -> Result, without side effects."""
    dy = np.random.default_rng(7).standard_normal(f(x, gamma, beta).y.shape)
    found = f(x, gamma, beta).back(dy)
    for i, (name, p) in enumerate((("dx", x), ("dgamma", gamma), ("dbeta", beta))):
        if p is None:
            continue
        expected = np.zeros_like(p)
        for at in np.ndindex(p.shape):
            args = [[x, gamma, beta], [x, gamma, beta]]
            for sign, arg in zip((1, -1), args):
                arg[i] = p.copy()
                arg[i][at] += sign * h
            expected[at] = ((f(*args[0]).y - f(*args[1]).y) * dy).sum() / (2 * h)
        close(found[name], expected, tolerance, f"{what} {name}")


def self_check():
    rng = np.random.default_rng(0)
    R = lambda *s: rng.standard_normal(s) * 1.7 + 0.3
    for options in ({"num_groups": 2}, {"group_size": 2}, {"num_groups": 2, "axis": (1,)}):
        size = (3,) if "axis" in options else (3, 2)
        differences(lambda x, a, b: bpnn_group_norm(x, gamma=a, beta=b, **options), R(2, 3, 4), R(*size), R(*size), f"group {options}")
    differences(lambda x, a, b: bpnn_batch_norm(x, (0, 2), gamma=a, beta=b), R(2, 3, 4), R(3), R(3), "batch")
    differences(lambda x, a, b: bpnn_layer_norm(x, gamma=a, beta=b), R(2, 3, 4), R(3, 4), R(3, 4), "layer")
    differences(lambda x, a, b: bpl_layer_norm(x, (3, 4), gamma=a, beta=b), R(2, 3, 4), R(3, 4), R(3, 4), "trailing layer")
    state = lambda: {"mean": np.linspace(-1, 1, 4), "var": np.linspace(0.5, 2, 4), "inv_std": np.full(4, 0.8)}
    for fit in (True, False):
        differences(lambda x, a, b: bpl_batch_norm(x, state(), fit, gamma=a, beta=b), R(3, 2, 4), R(4), R(4), f"batch fit={fit}")
        differences(lambda x, a, b: neupy_batch_norm(x, state(), fit, gamma=a, beta=b), R(3, 4), R(1, 4), R(1, 4), f"inverse fit={fit}")
    some = np.ones((3, 3, 4), bool)
    some[0, 2, 3] = some[1, 1, 1] = some[2, 0, 0] = False
    for mask in (None, some):
        for axes, features in ((-1, -1), ((-2, -1), -1), (1, -1), ((0, 1, 2), -1), (-1, (0, 1))):
            ps = feature_shape((3, 4), features)
            differences(lambda x, a, b: bs_layer_norm(x, (3, 4), axes, features, gamma=a, beta=b, mask=mask), R(3, 3, 4), R(*ps), R(*ps),
                        f"layer {axes} {features}", 2e-5)
            differences(lambda x, a, b: bs_rms_norm(x, (3, 4), reduction_axes=axes, feature_axes=features, gamma=a, mask=mask), R(3, 3, 4),
                        R(*ps), None, f"rms {axes} {features}", 2e-5)
        for axes in (None, (0, 2), (0, 1, 2)):
            differences(lambda x, a, b: bs_group_norm(x, 2, gamma=a, beta=b, mask=mask, reduction_axes=axes), R(3, 3, 4), R(4), R(4),
                        f"group {axes}", 2e-5)
        differences(lambda x, a, b: bs_batch_norm(x, (3, 4), {"mean": 0, "var": 1 + np.zeros((3, 1))}, True, 0, gamma=a, beta=b, mask=mask),
                    R(3, 3, 4), R(3, 1), R(3, 1), "batch over feature 0")
        differences(lambda x, a, b: flax_instance_norm(x, gamma=a, beta=b, mask=mask), R(3, 3, 4), R(4), R(4), "instance")
        differences(lambda x, a, b: cross_replica_batch_norm(x, 0, [[0, 2], [1]], masks=mask, gamma=a, beta=b), R(3, 3, 4), R(4), R(4), "replicas")
    for radius in (1, 2, 5):
        differences(lambda x, a, b: local_response_norm(x, radius, 2.0, 0.3, 0.75), R(2, 2, 6), what=f"local response {radius}")
    for eps in (1e-4, 1e3):
        differences(lambda x, a, b: weight_standardization(x, a, eps=eps), R(3, 2, 4), R(4), what=f"weight standardization {eps}")
    for features, size in ((-1, (4,)), (0, (3,)), ((0, 1), (3, 4))):
        differences(lambda x, a, b: weight_norm(x, a, features), R(3, 4), R(*size), what=f"weight norm {features}")
    u = R(1, 3)
    differences(lambda x, a, b: spectral_norm(x, u, 300), R(4, 3), what="spectral norm", tolerance=1e-5)
    return checks


# ================================================================ vectors
def vectors():
    """CASE/name -> array: x, dy, y, dx; gamma, beta, dgamma, dbeta, mask and running statistics where there are any."""
    rng = np.random.default_rng(2024)
    R = lambda *s: np.round(rng.standard_normal(s) * 1.5 + 0.25, 3)
    arrays = {}

    def add(name, x, res, gamma=None, beta=None, **extra):
        dy = R(*res.y.shape)
        all_of = {"x": x, "dy": dy, "y": res.y, "gamma": gamma, "beta": beta, **res.back(dy), **extra}
        arrays.update({f"{name}/{key}": np.array(value, F) for key, value in all_of.items() if value is not None})

    def before_and_after(before, after):
        return {**{f"{k}_before": v for k, v in before.items()}, **{f"{k}_after": v for k, v in after.items()}}

    x = np.ones((2, 3, 4))
    x[0, 0, :], x[0, 1, 0] = 2, 5
    a, b = R(3, 2), R(3, 2)
    add("group per position", x, bpnn_group_norm(x, num_groups=2, gamma=a, beta=b), a, b)
    a, b = R(3, 1), R(3, 1)
    add("instance per position", x, bpnn_group_norm(x, group_size=1, gamma=a, beta=b), a, b)
    a, b = R(3, 4), R(3, 4)
    add("layer all", x, bpnn_layer_norm(x, gamma=a, beta=b), a, b)
    a, b = R(3), R(3)
    add("batch axis 1", x, bpnn_batch_norm(x, (0, 2), gamma=a, beta=b), a, b)
    x, a, b = R(2, 2, 3, 2, 4), R(4), R(4)
    for name, fit, unbiased in (("batch biased", True, False), ("batch unbiased", True, True), ("batch evaluation", False, False)):
        before = {"mean": np.linspace(-.5, .5, 4), "var": np.linspace(.5, 2, 4)}
        after = dict(before)
        res = bpl_batch_norm(x, after, fit, gamma=a, beta=b, unbiased=unbiased)
        add(name, x, res, a, b, **before_and_after(before, after))
    x, a, b = R(2, 3, 4), R(3, 4), R(3, 4)
    add("layer trailing", x, bpl_layer_norm(x, (3, 4), gamma=a, beta=b), a, b)
    x, a, b = R(2, 2, 2, 6), R(6), R(6)
    for groups in (1, 2, 3, 6):
        add(f"group {groups}", x, bpl_group_norm(x, groups, eps=1e-5, gamma=a, beta=b), a, b)
    m = rng.random(x.shape) < .7
    m[..., 0] = m[..., 3] = True
    add("group mask", x, bs_group_norm(x, 2, gamma=a, beta=b, mask=m), a, b, mask=m)
    add("group last axis", x, bs_group_norm(x, 3, gamma=a, beta=b, reduction_axes=-1), a, b)
    add("layer last axis", x, bs_layer_norm(x, (6,), gamma=a, beta=b), a, b)
    add("rms", x, bs_rms_norm(x, (6,), gamma=a), a)
    add("instance", x, flax_instance_norm(x, gamma=a, beta=b), a, b)
    x, a, b = R(3, 4, 2), R(4, 1), R(4, 1)
    m = np.ones(x.shape, bool)
    m[1, 2:] = False
    before = {"mean": np.zeros((4, 1)), "var": np.ones((4, 1))}
    after = dict(before)
    res = bs_batch_norm(x, (4, 2), after, True, 0, gamma=a, beta=b, mask=m)
    add("batch feature mask", x, res, a, b, mask=m, **before_and_after(before, after))
    x, a, b = R(4, 3, 2, 3), R(3), R(3)
    add("batch replicas", x, cross_replica_batch_norm(x, (0, 1), [[0, 1], [2, 3]], gamma=a, beta=b), a, b)
    x, a, b = R(5, 3), R(1, 3), R(1, 3)
    before = {"mean": np.zeros((1, 3)), "inv_std": np.ones((1, 3))}
    after = dict(before)
    res = neupy_batch_norm(x, after, True, gamma=a, beta=b)
    add("batch inverse", x, res, a, b, **before_and_after(before, after))
    x, a, b = R(2, 2, 2, 4), R(1, 1, 1, 4), R(1, 1, 1, 4)
    add("group rank 4", x, bs_group_norm(x, 2, eps=1e-5, gamma=a, beta=b), a, b)
    add("local response", x, local_response_norm(x, 1, 2.0, 0.5, 0.75))
    x, a = R(3, 2, 4), R(4)
    add("weight standardization", x, weight_standardization(x, a), a)
    add_more(R, rng, add)
    return arrays


def add_more(R, rng, add):
    """Masks in each norm, other axes, replicas with masks, weights."""
    x = R(3, 4, 5)
    m = rng.random(x.shape) < .6
    m[..., :2] = m[:, :2] = True
    a, b = R(5), R(5)
    add("layer mask", x, bs_layer_norm(x, (5,), gamma=a, beta=b, mask=m), a, b, mask=m)
    add("rms mask", x, bs_rms_norm(x, (5,), gamma=a, mask=m), a, mask=m)
    add("instance mask", x, flax_instance_norm(x, gamma=a, beta=b, mask=m), a, b, mask=m)
    add("batch mask row", x, bs_batch_norm(x, (4, 5), {"mean": 0 * a, "var": 1 + 0 * a}, True, gamma=a, beta=b, mask=m[:, :, :1]), a, b,
        mask=m[:, :, :1])
    add("layer axis 1", x, bs_layer_norm(x, (5,), 1, gamma=a, beta=b), a, b)
    add("layer axes 0 1 2", x, bs_layer_norm(x, (5,), (0, 1, 2), gamma=a, beta=b), a, b)
    add("rms axes 1 2", x, bs_rms_norm(x, (5,), reduction_axes=(1, 2), gamma=a), a)
    a, b = R(4, 5), R(4, 5)
    add("layer features 1 2", x, bs_layer_norm(x, (4, 5), -1, (0, 1), gamma=a, beta=b), a, b)
    x, a, b = R(2, 3, 2, 4), R(3, 1, 4), R(3, 1, 4)
    add("instance features 1 3", x, flax_instance_norm(x, (1, 3), gamma=a, beta=b), a, b)
    a, b = R(4), R(4)
    add("group axes 0 1 3", x, bs_group_norm(x, 2, gamma=a, beta=b, reduction_axes=(0, 1, 3)), a, b)
    x, a, b = R(4, 3, 2, 3), R(3), R(3)
    m = rng.random(x.shape) < .7
    m[:, 0] = True
    add("batch replicas mask", x, cross_replica_batch_norm(x, (0, 1), masks=m, gamma=a, beta=b), a, b, mask=m)
    x, a = R(3, 2, 4), R(4)
    add("weight norm", x, weight_norm(x, a), a)
    u = R(1, 4)
    add("spectral norm", x, spectral_norm(x, u, 3), u=u)


if __name__ == "__main__":
    np.seterr(all="ignore")
    print(f"{self_check()} checks passed")
    if "--dump" in sys.argv:
        dumped = vectors()
        np.savez_compressed(sys.argv[sys.argv.index("--dump") + 1], **dumped)
        print(f"{len({name.split('/')[0] for name in dumped})} cases")
    if "--check" in sys.argv:
        made, kept = vectors(), np.load(sys.argv[sys.argv.index("--check") + 1])
        assert sorted(made) == sorted(kept.files), "other arrays than the file has"
        for name, values in made.items():
            close(values, kept[name], 1e-12, name)
        print(f"{len(made)} arrays are those of the file")
