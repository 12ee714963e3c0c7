#!/usr/bin/env python3
"""The normalization family in float64 NumPy, forward and backward: what tests/autodiff/norm_reference_test.cc meets.

make_norm_reference.py checks the formulas against differences and writes the vectors.

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

import numpy as np

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
