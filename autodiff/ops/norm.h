// Normalization: by statistics of each row, of groups of channels, or of whole batches. What follows a norm can be
// computed with it: y = activation(norm(x) + residual), where a ReLU and the sum cost no pass of their own. Exact for
// means far larger than the deviation and over all of float's range; a set of equal numbers gives exactly the bias, and
// a NaN or an infinity makes NaN of the whole set that it belongs to.
//
// What all options share. Axes: -1 is the last; order does not matter. mask: stretches to x; where it is 0, an element
// does not count for the statistics, whatever it holds, but y is written there, too, and gradients flow through the
// statistics; where nothing counts, they are NaN. dtype: of y, float32 or float64; nothing: the widest of x, weight and
// bias, where integers count as float32. replicas: whose statistics are averaged. ArgumentError for a mask, dtype or
// epsilon outside these rules, ShapeError where shapes or axes do not fit.
//
// pool: y is the largest of each window of what all that gives. One pass where windows cover every position, activation
// is none or relu and there is no residual; then x at the largest elements and their taps are saved, in place of y.
#pragma once

#include "autodiff/ops/batch_norm.h"
#include "autodiff/ops/group_norm.h"
#include "autodiff/ops/layer_norm.h"
