#!/usr/bin/env python3
"""The normalization family in float64 NumPy, forward and backward: what tests/autodiff/norm_reference_test.cc meets.

usage: norm_reference.py               checks the formulas against differences
       norm_reference.py --dump FILE   and writes the vectors, FILE.npz: small arrays as "CASE/x", "CASE/y", ...
       norm_reference.py --check FILE  and compares them with those of FILE.npz (exit code 77: NumPy is not installed)

One core serves all.  Let w >= 0 be the weights of the elements in the statistics, with sum 1 over each set of elements
that have statistics in common: w = 1/n; with a mask m/n_selected; with R replicas m/(n_of_the_replica R).
    mean = sum w x       var = sum w (x - mean)^2       r = 1/sqrt(var + eps)       h = (x - mean) r
    y = gamma h + beta, at every position
With g = dy gamma and sums over all positions of a set, selected or not:
    dx = r (g - w (sum g + h sum g h))      dgamma = sum dy h      dbeta = sum dy
RMS norm has mean = 0 and no sum g; frozen statistics give dx = r g.
The mask selects, it does not multiply: a NaN that it leaves out stays out of the statistics.
"""
import itertools
import sys

try:
    import numpy as np
except ModuleNotFoundError:
    print("NumPy is not installed; the formulas were not checked")
    sys.exit(77)

F = np.float64


def canon(ndim, axes):
    axes = (axes,) if np.isscalar(axes) else tuple(axes)
    found = [a + ndim if a < 0 else a for a in axes]
    if any(not 0 <= a < ndim for a in found):
        raise ValueError(f"axes {axes} of an array with {ndim}")
    return tuple(sorted(set(found)))


def unbroadcast(a, shape):
    """Sums `a` down to `shape`: what broadcasting has stretched."""
    extra = a.ndim - len(shape)
    a = a.sum(axis=tuple(range(extra))) if extra else a
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and a.shape[i] != 1)
    return (a.sum(axis=stretched, keepdims=True) if stretched else a).reshape(shape)


def weights_for(shape, axes, mask=None, replicas=1):
    m = np.ones(shape, F) if mask is None else np.broadcast_to(np.asarray(mask, bool), shape).astype(F)
    with np.errstate(divide="ignore", invalid="ignore"):
        return m / (m.sum(axis=axes, keepdims=True) * replicas)  # nothing selected: NaN, the mean of nothing


class Result:
    def __init__(self, y, back, **more):
        self.y, self.back = y, back
        self.__dict__.update(more)


def core(x, w, axes, eps, gamma=None, beta=None, use_mean=True, frozen=None, gshape=None):
    """gamma and beta have a shape of their own; gshape is the one in which they broadcast with x."""
    x = np.asarray(x, F)
    stretch = lambda p: None if p is None else np.asarray(p, F).reshape(np.shape(p) if gshape is None else gshape)
    gg, bb = stretch(gamma), stretch(beta)
    if frozen is not None:
        (mean, r), var = frozen, None
    else:
        counts = ~(w == 0)
        mean = (w * np.where(counts, x, 0)).sum(axis=axes, keepdims=True) if use_mean else np.zeros((1,) * x.ndim)
        var = (w * np.where(counts, x - mean, 0) ** 2).sum(axis=axes, keepdims=True)
        r = 1.0 / np.sqrt(var + eps)
    h = (x - mean) * r
    y = h if gg is None else h * gg
    y = y if bb is None else y + bb

    def back(dy):
        dy = np.asarray(dy, F)
        g = dy if gg is None else dy * gg
        product = lambda a, b: np.where(a == 0, 0, a * b)  # where dy is 0, a NaN that was left out stays out
        if frozen is not None:
            dx = g * r
        else:
            s1 = g.sum(axis=axes, keepdims=True) if use_mean else 0.0
            s2 = product(g, h).sum(axis=axes, keepdims=True)
            dx = r * (g - np.where(w == 0, 0, w * (s1 + h * s2)))
        found = {"dx": dx}
        if gg is not None:
            found["dgamma"] = unbroadcast(product(dy, h), gg.shape).reshape(np.shape(gamma))
        if bb is not None:
            found["dbeta"] = unbroadcast(dy, bb.shape).reshape(np.shape(beta))
        return found

    return Result(y, back, mean=mean, var=var, rstd=r)


def viewed(x, view, *args, **options):
    """core() of x seen in `view`, results in the shape of x."""
    shape = np.shape(x)
    c = core(np.asarray(x, F).reshape(view), *args, **options)

    def back(dy):
        found = c.back(np.asarray(dy, F).reshape(view))
        found["dx"] = found["dx"].reshape(shape)
        return found

    return Result(c.y.reshape(shape), back, mean=c.mean, var=c.var, rstd=c.rstd)


def groups_of(channels, num_groups, group_size):
    if (num_groups is None) == (group_size is None):
        raise ValueError("give either num_groups or group_size")
    given = num_groups if group_size is None else group_size
    if given <= 0 or channels % given:
        raise ValueError(f"{channels} channels and {given}")
    return (given, channels // given) if group_size is None else (channels // given, given)


# ---------------------------------------------------------------- brainpy 2.1: parameters of the normalized axes
def bpnn_batch_norm(x, axis, eps=1e-5, gamma=None, beta=None):
    ax = canon(x.ndim, axis)
    shape = [1 if i in ax else n for i, n in enumerate(x.shape)]
    return core(x, weights_for(x.shape, ax), ax, eps, gamma, beta, gshape=shape)


def bpnn_layer_norm(x, axis=None, eps=1e-5, gamma=None, beta=None):
    ax = canon(x.ndim, tuple(range(1, x.ndim)) if axis is None else axis)
    shape = [n if i in ax else 1 for i, n in enumerate(x.shape)]
    return core(x, weights_for(x.shape, ax), ax, eps, gamma, beta, gshape=shape)


def bpnn_group_norm(x, num_groups=None, group_size=None, axis=None, eps=1e-5, gamma=None, beta=None):
    """gamma and beta [d1..dk, group_size], shared by the groups; `axis` is of the view [..., groups, group_size]."""
    groups, size = groups_of(x.shape[-1], num_groups, group_size)
    view = x.shape[:-1] + (groups, size)
    ax = tuple(range(1, x.ndim - 1)) + (x.ndim,) if axis is None else canon(len(view), axis)
    shape = [n if i in ax else 1 for i, n in enumerate(view)]
    return viewed(x, view, weights_for(view, ax), ax, eps, gamma, beta, gshape=shape)


# ---------------------------------------------------------------- brainpy 2.3 and later: parameters of the channels
def bpl_batch_norm(x, state, fit, axis=None, eps=1e-5, momentum=0.99, gamma=None, beta=None, unbiased=False):
    """state = {"mean", "var"} [C], replaced when fit."""
    ax = canon(x.ndim, tuple(range(x.ndim - 1)) if axis is None else axis)
    shape = [1 if i in ax else n for i, n in enumerate(x.shape)]
    if not fit:
        frozen = (state["mean"].reshape(shape), 1 / np.sqrt(state["var"].reshape(shape) + eps))
        return core(x, None, ax, eps, gamma, beta, frozen=frozen, gshape=shape)
    res = core(x, weights_for(x.shape, ax), ax, eps, gamma, beta, gshape=shape)
    n = int(np.prod([x.shape[i] for i in ax]))
    correction = n / (n - 1) if unbiased and n > 1 else 1.0
    state["mean"] = momentum * state["mean"] + (1 - momentum) * res.mean.ravel()
    state["var"] = momentum * state["var"] + (1 - momentum) * correction * res.var.ravel()
    return res


def bpl_layer_norm(x, normalized_shape, eps=1e-5, gamma=None, beta=None):
    trailing = (normalized_shape,) if np.isscalar(normalized_shape) else tuple(normalized_shape)
    if x.shape[-len(trailing):] != trailing:
        raise ValueError("the last axes differ")
    k = x.ndim - len(trailing)
    ax = tuple(range(k, x.ndim))
    return core(x, weights_for(x.shape, ax), ax, eps, gamma, beta, gshape=(1,) * k + trailing)


def bpl_group_norm(x, num_groups, eps=1e-5, gamma=None, beta=None):
    return bs_group_norm(x, num_groups, eps=eps, gamma=gamma, beta=beta)


# ---------------------------------------------------------------- brainstate and flax: masks, axes, replicas
def bs_batch_norm(x, in_size, state, fit, feature_axis=-1, eps=1e-5, momentum=0.99, gamma=None, beta=None, mask=None):
    """in_size is without the batch; state, gamma and beta have its rank, with 1 where an axis is no feature."""
    fa = canon(len(in_size), feature_axis)
    shape = tuple(n if i in fa else 1 for i, n in enumerate(in_size))
    off = x.ndim - len(in_size)
    if off not in (0, 1) or x.shape[off:] != tuple(in_size):
        raise ValueError("shapes differ")
    ax = tuple(i for i in range(x.ndim) if (i - off) not in fa)
    if not fit:
        frozen = (state["mean"], 1 / np.sqrt(state["var"] + eps))
        return core(x, None, ax, eps, gamma, beta, frozen=frozen, gshape=shape)
    res = core(x, weights_for(x.shape, ax, mask), ax, eps, gamma, beta, gshape=shape)
    state["mean"] = momentum * state["mean"] + (1 - momentum) * res.mean.reshape(shape)
    state["var"] = momentum * state["var"] + (1 - momentum) * res.var.reshape(shape)
    return res


def feature_shape(in_size, feature_axes):
    fa = canon(len(in_size), feature_axes)
    return tuple(n if i in fa else 1 for i, n in enumerate(in_size))


def bs_layer_norm(x, in_size, reduction_axes=-1, feature_axes=-1, eps=1e-6, gamma=None, beta=None, mask=None,
                  use_mean=True):
    ax = canon(x.ndim, reduction_axes)
    return core(x, weights_for(x.shape, ax, mask), ax, eps, gamma, beta, use_mean=use_mean,
                gshape=feature_shape(in_size, feature_axes))


def bs_rms_norm(x, in_size, **options):
    return bs_layer_norm(x, in_size, use_mean=False, **options)


def bs_group_norm(x, num_groups=32, group_size=None, eps=1e-6, gamma=None, beta=None, reduction_axes=None, mask=None):
    groups, size = groups_of(x.shape[-1], num_groups, group_size)
    ra = canon(x.ndim, tuple(range(1, x.ndim - 1)) + (-1,) if reduction_axes is None else reduction_axes)
    if ra[-1] != x.ndim - 1:
        raise ValueError("the features must be reduced")
    view = x.shape[:-1] + (groups, size)
    ax = ra[:-1] + (x.ndim,)
    m = None if mask is None else np.broadcast_to(np.asarray(mask, bool), x.shape).reshape(view)
    return viewed(x, view, weights_for(view, ax, m), ax, eps, gamma, beta, gshape=(1,) * (x.ndim - 1) + (groups, size))


def flax_instance_norm(x, feature_axes=-1, eps=1e-6, gamma=None, beta=None, mask=None):
    fa = canon(x.ndim, feature_axes)
    if 0 in fa:
        raise ValueError("the batch is no feature")
    ax = tuple(i for i in range(1, x.ndim) if i not in fa)
    shape = [n if i in fa else 1 for i, n in enumerate(x.shape)]
    return core(x, weights_for(x.shape, ax, mask), ax, eps, gamma, beta, gshape=shape)


def cross_replica_batch_norm(xs, axes, groups=None, eps=1e-5, masks=None, gamma=None, beta=None):
    """xs [R, ...], axes those that one replica reduces; `groups` are lists of replicas with statistics in common: the
    plain mean over them of each one's own mean, and of its mean square."""
    replicas = xs.shape[0]
    groups = [list(range(replicas))] if groups is None else groups
    if sorted(itertools.chain(*groups)) != list(range(replicas)):
        raise ValueError("each replica belongs to one group")
    ax = tuple(a + 1 for a in canon(xs.ndim - 1, axes))
    y, parts = np.empty_like(xs, dtype=F), []
    for group in groups:
        sub = xs[group]
        w = weights_for(sub.shape, ax, None if masks is None else masks[group], replicas=len(group))
        shape = [1 if i in (0,) + ax else n for i, n in enumerate(sub.shape)]
        c = core(sub, w, (0,) + ax, eps, gamma, beta, gshape=shape)
        y[group] = c.y
        parts.append((group, c))

    def back(dy):
        found = {"dx": np.empty_like(xs, dtype=F)}
        for group, c in parts:
            one = c.back(dy[group])
            found["dx"][group] = one["dx"]
            for key in ("dgamma", "dbeta"):
                if key in one:
                    found[key] = found.get(key, 0) + one[key]
        return found

    return Result(y, back, parts=parts)


# ---------------------------------------------------------------- neupy
def neupy_batch_norm(x, state, training, axes=None, eps=1e-5, alpha=0.1, gamma=None, beta=None):
    """state = {"mean", "inv_std"}; what is averaged is the inverse of the standard deviation."""
    ax = canon(x.ndim, tuple(range(x.ndim - 1)) if axes is None else axes)
    shape = tuple(1 if i in ax else n for i, n in enumerate(x.shape))
    if not training:
        return core(x, None, ax, eps, gamma, beta, frozen=(state["mean"], state["inv_std"]), gshape=shape)
    res = core(x, weights_for(x.shape, ax), ax, eps, gamma, beta, gshape=shape)
    state["inv_std"] = (1 - alpha) * state["inv_std"] + alpha * res.rstd
    state["mean"] = (1 - alpha) * state["mean"] + alpha * res.mean
    return res


def local_response_norm(x, depth_radius=5, k=2.0, alpha=1e-4, beta=0.75):
    """Over the channels i - depth_radius ... i + depth_radius; alpha is not divided by their number."""
    x = np.asarray(x, F)
    i = np.arange(x.shape[-1])
    near = (np.abs(i[:, None] - i[None, :]) <= depth_radius).astype(F)
    s = k + alpha * (x * x) @ near
    back = lambda dy: {"dx": dy * s ** -beta - 2 * alpha * beta * x * ((dy * x * s ** (-beta - 1)) @ near)}
    return Result(x * s ** -beta, back)


# ---------------------------------------------------------------- of weights
def weight_standardization(w, gain=None, out_axis=-1, eps=1e-4):
    w = np.asarray(w, F)
    o = canon(w.ndim, out_axis)[0]
    ax = tuple(i for i in range(w.ndim) if i != o)
    n = int(np.prod([w.shape[i] for i in ax]))
    mean, var = w.mean(axis=ax, keepdims=True), w.var(axis=ax, keepdims=True)
    s = 1 / np.sqrt(np.maximum(var * n, eps))  # the larger, not the sum
    gains = np.ones(w.shape[o]) if gain is None else np.asarray(gain, F)
    gains = gains.reshape([w.shape[o] if i == o else 1 for i in range(w.ndim)])
    c = (w - mean) * s

    def back(dy):
        g = dy * gains
        d = g - g.mean(axis=ax, keepdims=True)
        d = d - np.where(var * n > eps, c * (g * c).sum(axis=ax, keepdims=True), 0)
        return {"dx": s * d, "dgamma": (dy * c).sum(axis=ax)}

    return Result(c * gains, back)


def weight_norm(v, scale=None, feature_axes=-1, eps=1e-12):
    v = np.asarray(v, F)
    fa = () if feature_axes is None else canon(v.ndim, feature_axes)
    ax = tuple(i for i in range(v.ndim) if i not in fa)
    shape = [n if i in fa else 1 for i, n in enumerate(v.shape)]
    return core(v, np.ones(v.shape), ax, eps, gamma=scale, use_mean=False, gshape=shape)


def spectral_norm(w, u, n_steps=1, eps=1e-12):
    """w / sigma, with sigma from n_steps of power iteration; u and v are constants of the gradient."""
    w = np.asarray(w, F)
    m = w.reshape(-1, w.shape[-1])
    unit = lambda a: a / np.sqrt((a * a).sum() + eps)
    for _ in range(n_steps):
        v = unit(u @ m.T)
        u = unit(v @ m)
    sigma = (v @ m @ u.T)[0, 0]

    def back(dy):
        g = dy.reshape(m.shape)
        return {"dx": (g / sigma - (g * m).sum() / sigma ** 2 * (v.T @ u)).reshape(w.shape)}

    return Result(w / sigma, back, u=u, v=v, sigma=sigma)


# ================================================================ differences
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
