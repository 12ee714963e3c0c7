#include "kernels/norm_channels.h"

#include <algorithm>
#include <cmath>

#include "kernels/norm_mask.h"
#include "kernels/norm_work.h"
#include "kernels/or_null.h"

namespace tapestry::kernels {
namespace {

// Whether floats can hold what lies between x and y: elsewhere a sample goes through the plain loops in double.
bool fits_float(double variance, double epsilon) {
  return std::isnan(variance) || (variance < 1e30 && variance + epsilon > 1e-60);
}

// Mean and variance of each group, from the sums of t = x - center and t^2 of its channels. Says whether they are
// exact: where a center lies far from the mean of its channel, squares lose digits.
bool merge_moments(const ChannelNormDims& dims, const double* sums, const float* center, double* stats) {
  const std::size_t size = dims.group_size();
  const double count = static_cast<double>(dims.positions), per_group = 1 / static_cast<double>(size);
  bool exact = true;
  for (std::size_t g = 0; g < dims.groups; ++g) {
    const double start = static_cast<double>(center[g * size]);
    double shift = 0, squares = 0, farthest = 0;
    for (std::size_t c = g * size; c < (g + 1) * size; ++c)
      shift += static_cast<double>(center[c]) - start + sums[c] / count;
    shift *= per_group;
    for (std::size_t c = g * size; c < (g + 1) * size; ++c) {
      const double off = sums[c] / count, apart = static_cast<double>(center[c]) - start + off - shift;
      squares += sums[dims.channels + c] / count - off * off + apart * apart;
      farthest = std::max(farthest, off * off);
    }
    stats[2 * g] = start + shift;
    stats[2 * g + 1] = std::max(squares * per_group, 0.0);
    if (std::isnan(squares)) stats[2 * g + 1] = squares;
    exact = exact && !(farthest > 25 * (stats[2 * g + 1] + dims.epsilon));
  }
  return exact;
}

// Sums start from the mean of some positions: differences from it are small, and squares of them keep their digits.
// Equal numbers have exactly that mean.
void set_first_centers(const NormWork::Task& task, const ChannelNormDims& dims, const float* x) {
  const std::size_t count = std::min<std::size_t>(dims.positions, 8), step = dims.positions / count;
  const float* first = x + step / 2 * dims.channels;
  float* const center = task.factor(0);
  std::fill_n(center, dims.channels, 0.0f);
  for (std::size_t i = 1; i < count; ++i)
    for (std::size_t c = 0; c < dims.channels; ++c) center[c] += first[i * step * dims.channels + c] - first[c];
  for (std::size_t c = 0; c < dims.channels; ++c) center[c] = first[c] + center[c] / static_cast<float>(count);
}

// Statistics of one sample.
void find_moments(const NormWork& work, const NormWork::Task& task, const float* x, double* stats) {
  const ChannelNormDims& dims = work.dims;
  set_first_centers(task, dims, x);
  for (bool again : {false, true}) {
    for (std::size_t c = 0; c < dims.channels && again; ++c) task.factor(0)[c] += task.factor(1)[c];
    task.repeat(0, 1);
    task.for_pieces([&](std::size_t begin, std::size_t size, const NormSums& to) {
      column_moments(work.device.target, x + begin, size, task.columns(), to);
    });
    task.merge();
    const double* sums = task.sums();
    if (merge_moments(dims, sums, task.factor(0), stats) && !dims.two_pass) break;
    for (std::size_t c = 0; c < dims.channels; ++c)
      task.factor(1)[c] = static_cast<float>(sums[c] / static_cast<double>(dims.positions));
  }
  for (std::size_t g = 0; g < dims.groups; ++g) {
    if (squares_fit_float(stats[2 * g + 1], dims.epsilon)) continue;
    const reference::Moments m = reference::group_moments(dims, x, g);
    stats[2 * g] = m.mean;
    stats[2 * g + 1] = m.variance;
  }
}

// What is the same for all elements of a group: center, the digits of the mean that it lacks, and rstd.
struct GroupFactors {
  GroupFactors(const double* stats, double epsilon)
      : center(static_cast<float>(stats[0])),
        low(stats[0] - static_cast<double>(center)),
        rstd(1 / std::sqrt(stats[1] + epsilon)) {}
  float center;
  double low, rstd;
};

bool all_fit(const ChannelNormDims& dims, const double* stats) {
  for (std::size_t g = 0; g < dims.groups; ++g)
    if (!fits_float(stats[2 * g + 1], dims.epsilon)) return false;
  return true;
}

double weight_of(std::span<const float> weight, std::size_t channel) {
  return weight.empty() ? 1 : static_cast<double>(weight[channel]);
}

// y = (x - center) scale + offset.
void set_forward_factors(const NormWork::Task& task, const ChannelNormDims& dims, std::span<const float> weight,
                         std::span<const float> bias, const double* stats) {
  for (std::size_t g = 0; g < dims.groups; ++g) {
    const GroupFactors factors(stats + 2 * g, dims.epsilon);
    for (std::size_t c = g * dims.group_size(); c < (g + 1) * dims.group_size(); ++c) {
      const double scale = factors.rstd * weight_of(weight, c);
      task.factor(0)[c] = factors.center;
      task.factor(1)[c] = static_cast<float>(scale);
      task.factor(2)[c] = static_cast<float>((bias.empty() ? 0 : static_cast<double>(bias[c])) - factors.low * scale);
    }
  }
  task.repeat(0, 3);
}

// Where some positions of a channel have equal gradients, all are summed and scaled as differences from these: where
// all are equal, that gives exactly 0. Says whether there are any.
bool set_shifts(const NormWork::Task& task, const ChannelNormDims& dims, const float* dy) {
  const std::size_t count = std::min<std::size_t>(dims.positions, 8), step = dims.positions / count;
  float* const shift = task.factor(5);
  bool any = false;
  for (std::size_t c = 0; c < dims.channels; ++c) {
    bool equal = std::isfinite(dy[c]) && !dims.relu && !dims.frozen;
    for (std::size_t i = 1; i < count && equal; ++i) equal = dy[i * step * dims.channels + c] == dy[c];
    shift[c] = equal ? dy[c] : 0;
    any = any || shift[c] != 0;
  }
  task.repeat(5, 1);
  return any;
}

// Makes sums [2, channels] those of g h and g out of those of g t and g - shift, and sets dx = (g - shift) scale + t
// slope + rest.
void set_backward_factors(const NormWork::Task& task, const ChannelNormDims& dims, std::span<const float> weight,
                          const double* stats, double* sums) {
  const std::size_t size = dims.group_size(), channels = dims.channels;
  const double count = static_cast<double>(dims.positions), share = 1 / (count * static_cast<double>(size));
  for (std::size_t g = 0; g < dims.groups; ++g) {
    const GroupFactors factors(stats + 2 * g, dims.epsilon);
    const float* const shift = task.factor(5);
    const auto weighted = [&](std::size_t c) { return weight_of(weight, c) * static_cast<double>(shift[c]); };
    double products = 0, gradients = 0;  // of what lies above the shift of the first channel
    for (std::size_t c = g * size; c < (g + 1) * size; ++c) {
      gradients += weight_of(weight, c) * sums[channels + c] + count * (weighted(c) - weighted(g * size));
      sums[channels + c] += count * static_cast<double>(shift[c]);
      sums[c] = factors.rstd * (sums[c] - factors.low * sums[channels + c]);
      products += weight_of(weight, c) * sums[c];
    }
    const double slope = dims.frozen ? 0 : -factors.rstd * factors.rstd * products * share;
    const double mean = dims.frozen ? 0 : gradients * share;
    std::fill_n(task.factor(3) + g * size, size, static_cast<float>(slope));
    for (std::size_t c = g * size; c < (g + 1) * size; ++c)
      task.factor(4)[c] =
          static_cast<float>(factors.rstd * (weighted(c) - weighted(g * size) - mean) - slope * factors.low);
  }
  task.repeat(3, 2);
}

const float* piece_of(std::span<const float> values, std::size_t at) {
  return values.empty() ? nullptr : values.data() + at;
}
float* piece_of(std::span<float> values, std::size_t at) { return values.empty() ? nullptr : values.data() + at; }

}  // namespace

void channel_norm_forward(const Device& device, const ChannelNormDims& dims, std::span<const float> x,
                          std::span<const float> weight, std::span<const float> bias, std::span<const float> residual,
                          std::span<float> y, std::span<double> stats) {
  if (x.empty()) return;
  const NormWork work(device, dims);
  work.for_samples([&](std::size_t n, const NormWork::Task& task) {
    const std::size_t at = n * dims.sample();
    double* const own = stats.data() + n * dims.groups * 2;
    if (!dims.frozen) find_moments(work, task, x.data() + at, own);
    if (!all_fit(dims, own))
      return reference::normalize_sample(dims, x.data() + at, weight, bias, piece_of(residual, at), own, y.data() + at);
    set_forward_factors(task, dims, weight, bias, own);
    task.for_pieces([&](std::size_t begin, std::size_t size, const NormSums&) {
      const NormPiece piece{.x = x.data() + at + begin,
                            .residual = piece_of(residual, at + begin),
                            .y = nullptr,
                            .dy = nullptr,
                            .out = y.data() + at + begin,
                            .dresidual = nullptr,
                            .size = size};
      normalize_columns(device.target, piece, dims.relu, task.columns());
    });
  });
}

void channel_norm_backward(const Device& device, const ChannelNormDims& dims, std::span<const float> x,
                           std::span<const float> weight, std::span<const float> bias, std::span<const double> stats,
                           std::span<const float> y, std::span<const float> dy, std::span<float> dx,
                           std::span<float> dweight, std::span<float> dbias, std::span<float> dresidual) {
  if (x.empty()) return;
  const NormWork work(device, dims);
  const std::size_t channels = dims.channels;
  const Block block = device.arena.allocate(work.tasks() * 2 * channels * sizeof(double));
  double* const totals = reinterpret_cast<double*>(block.data());  // of each task, over its samples
  std::fill_n(totals, work.tasks() * 2 * channels, 0.0);
  const NormMask mask = mask_of(dims.relu, y);
  work.for_samples([&](std::size_t n, const NormWork::Task& task) {
    const std::size_t at = n * dims.sample();
    const double* const own = stats.data() + n * dims.groups * 2;
    double* const sums = task.sums();
    const auto add_to_totals = [&] {
      for (std::size_t i = 0; i < 2 * channels; ++i) totals[task.index() * 2 * channels + i] += sums[i];
    };
    if (!all_fit(dims, own)) {
      reference::sample_sums(dims, x.data() + at, weight, bias, own, dy.data() + at, piece_of(y, at),
                             piece_of(dresidual, at), sums);
      if (!dx.empty())
        reference::sample_gradient(dims, x.data() + at, weight, bias, own, dy.data() + at, piece_of(y, at), sums,
                                   dx.data() + at);
      return add_to_totals();
    }
    set_forward_factors(task, dims, weight, bias, own);
    const NormColumns columns = task.columns(set_shifts(task, dims, dy.data() + at));
    const auto piece = [&](std::size_t begin, std::size_t size) {
      return NormPiece{.x = x.data() + at + begin,
                       .residual = nullptr,
                       .y = piece_of(y, at + begin),
                       .dy = dy.data() + at + begin,
                       .out = piece_of(dx, at + begin),
                       .dresidual = piece_of(dresidual, at + begin),
                       .size = size};
    };
    task.for_pieces([&](std::size_t begin, std::size_t size, const NormSums& to) {
      column_products(device.target, piece(begin, size), mask, columns, to);
    });
    task.merge();
    set_backward_factors(task, dims, weight, own, sums);
    add_to_totals();
    if (dx.empty()) return;
    task.for_pieces([&](std::size_t begin, std::size_t size, const NormSums&) {
      NormPiece masked = piece(begin, size);
      if (masked.dresidual != nullptr) masked.dy = masked.dresidual;
      gradient_columns(device.target, masked, dresidual.empty() ? mask : NormMask::none, columns);
    });
  });
  const auto add = [&](std::span<float> out, std::size_t first) {
    for (std::size_t c = 0; c < out.size(); ++c) {
      double sum = 0;
      for (std::size_t i = 0; i < work.tasks(); ++i) sum += totals[i * 2 * channels + first + c];
      out[c] = static_cast<float>(static_cast<double>(out[c]) + sum);
    }
  };
  add(dweight, 0);
  add(dbias, channels);
}

}  // namespace tapestry::kernels
