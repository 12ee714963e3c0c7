#include "kernels/norm_channels.h"

#include <algorithm>
#include <cmath>

#include "kernels/norm/mask.h"
#include "kernels/norm/work.h"
#include "kernels/simd/or_null.h"

namespace tapestry::kernels {
namespace {

// Whether floats can hold what lies between x and y: elsewhere a sample goes through the plain loops in double.
bool fits_float(double variance, double epsilon) {
  return std::isnan(variance) || (variance < 1e30 && variance + epsilon > 1e-60);
}

// Statistics of one sample.
void find_moments(const NormWork& work, const NormWork::Task& task, const float* x, double* stats) {
  const ChannelNormDims& dims = work.dims;
  first_centers(work.device.target, dims, x, task.factor(0));
  for (bool again : {false, true}) {
    for (std::size_t c = 0; c < dims.channels && again; ++c) task.factor(0)[c] += task.factor(1)[c];
    task.repeat(0, 1);
    task.for_pieces([&](std::size_t begin, std::size_t size, const NormSums& to) {
      column_moments(work.device.target, x + begin, size, dims.positions, task.columns(), to);
    });
    task.merge();
    const double* sums = task.sums();
    if (merge_moments(work.device.target, dims, sums, task.factor(0), stats, task.scratch()) && !dims.two_pass) break;
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

bool all_fit(const ChannelNormDims& dims, const double* stats) {
  for (std::size_t g = 0; g < dims.groups; ++g)
    if (!fits_float(stats[2 * g + 1], dims.epsilon)) return false;
  return true;
}

void set_forward_factors(const NormWork& work, const NormWork::Task& task, const float* weight, const float* bias,
                         const double* stats) {
  forward_factors(work.device.target, work.dims, weight, bias, stats, task.factors());
  task.repeat(0, 3);
}

const float* piece_of(std::span<const float> values, std::size_t at) {
  return values.empty() ? nullptr : values.data() + at;
}
float* piece_of(std::span<float> values, std::size_t at) { return values.empty() ? nullptr : values.data() + at; }

// What of a pooled norm belongs to sample n of `batch`.
NormPool<float> sample_of(const NormPool<float>& pool, std::size_t n, std::size_t batch) {
  const auto part = [&](auto values) { return values.subspan(n * (values.size() / batch), values.size() / batch); };
  return {pool.windows, part(pool.largest), part(pool.taps)};
}

// Windows are written position by position, all else in rows of columns.
bool streams(const NormWork& work, const NormPool<float>& pool, std::span<const float> out) {
  return norm_streams(out, pool.windows == nullptr ? work.width() : work.dims.channels);
}

// Calls body(rows) for pieces of the windows of a sample, with several threads where its task has them. From the last
// to the first, as for_pieces_back does.
template <class Body>
void for_windows(const Device& device, const ChannelNormDims& dims, const NormWork::Task& task,
                 const NormWindows& windows, bool stream, const Body& body) {
  const std::size_t row = windows.image() / windows.rows() * dims.channels;
  const std::size_t rows = windows.rows() * (dims.positions / windows.image());
  const std::size_t grain = kGrain / row + 1, pieces = (rows + grain - 1) / grain;
  const auto piece = [&](std::size_t i) {
    const std::size_t begin = (pieces - 1 - i) * grain;
    body(NormWindowRows{windows, dims.channels, begin, std::min(rows, begin + grain), dims.relu, stream});
  };
  if (!task.alone()) return device.pool.run(pieces, piece);
  for (std::size_t i = 0; i < pieces; ++i) piece(i);
}

// Where floats cannot hold what lies between, a sample is pooled by plain loops.
struct WholeSample {
  WholeSample(const Device& device, const ChannelNormDims& dims, const NormPool<float>& pool)
      : dims(dims),
        pool(pool),
        block(device.arena.allocate(pool.windows == nullptr ? 0 : dims.sample() * sizeof(float))),
        all(reinterpret_cast<float*>(block.data()), dims.sample()) {}
  float* normalized(float* y) const { return pool.windows == nullptr ? y : all.data(); }
  void pool_to(const float* x, float* y) const {
    if (pool.windows == nullptr) return;
    const std::size_t windows = dims.sample() / pool.windows->taps();
    reference::pool_windows(pool, dims.channels, std::span(x, all.size()), std::span<const float>(all),
                            std::span(y, windows));
  }
  const float* spread(const float* dy) const {
    if (pool.windows == nullptr) return dy;
    const std::size_t windows = dims.sample() / pool.windows->taps();
    reference::spread_windows(pool, dims.channels, std::span(dy, windows), all);
    return all.data();
  }
  const ChannelNormDims& dims;
  const NormPool<float> pool;
  const Block block;
  const std::span<float> all;
};

// What the sums of a backward pass run over: x, or of pooled norms the largest of each window, whose gradients are no
// differences from a common one.
ChannelNormDims summed_dims(ChannelNormDims dims, const NormPool<float>& pool) {
  if (pool.windows == nullptr) return dims;
  dims.positions /= pool.windows->taps();
  dims.relu = true;
  return dims;
}

}  // namespace

void channel_norm_forward(const Device& device, const ChannelNormDims& dims, std::span<const float> x,
                          std::span<const float> weight, std::span<const float> bias, std::span<const float> residual,
                          std::span<float> y, std::span<double> stats, const NormPool<float>& pool) {
  if (x.empty()) return;
  const NormWork work(device, dims);
  const bool stream = streams(work, pool, y) && (pool.largest.empty() || streams(work, pool, pool.largest));
  work.for_samples([&](std::size_t n, const NormWork::Task& task) {
    const std::size_t at = n * dims.sample();
    const NormPool<float> own_pool = sample_of(pool, n, dims.batch);
    float* const own_y = y.data() + n * (y.size() / dims.batch);
    double* const own = stats.data() + n * dims.groups * 2;
    if (!dims.frozen) find_moments(work, task, x.data() + at, own);
    if (!all_fit(dims, own)) {
      const WholeSample whole(device, dims, own_pool);
      reference::normalize_sample(dims, x.data() + at, weight, bias, piece_of(residual, at), own,
                                  whole.normalized(own_y));
      return whole.pool_to(x.data() + at, own_y);
    }
    set_forward_factors(work, task, or_null(weight), or_null(bias), own);
    if (pool.windows != nullptr)
      return for_windows(device, dims, task, *pool.windows, stream, [&](const NormWindowRows& rows) {
        normalize_windows(device.target, rows, x.data() + at, task.columns(),
                          {own_y, or_null(own_pool.largest), or_null(own_pool.taps)});
      });
    task.for_pieces_back([&](std::size_t begin, std::size_t size, const NormSums&) {
      const NormPiece piece{.x = x.data() + at + begin,
                            .residual = piece_of(residual, at + begin),
                            .y = nullptr,
                            .dy = nullptr,
                            .out = y.data() + at + begin,
                            .dresidual = nullptr,
                            .size = size,
                            .stream = stream};
      normalize_columns(device.target, piece, dims.relu, task.columns());
    });
  });
}

void channel_norm_backward(const Device& device, const ChannelNormDims& dims, std::span<const float> x,
                           std::span<const float> weight, std::span<const float> bias, std::span<const double> stats,
                           std::span<const float> y, std::span<const float> dy, std::span<float> dx,
                           std::span<float> dweight, std::span<float> dbias, std::span<float> dresidual,
                           const NormPool<float>& pool) {
  if (x.empty()) return;
  const ChannelNormDims summed = summed_dims(dims, pool);
  const float* const of_sums = pool.windows == nullptr ? x.data() : pool.largest.data();
  const NormWork work(device, summed);
  const std::size_t channels = dims.channels;
  const Block block = device.arena.allocate(work.tasks() * 2 * channels * sizeof(double));
  double* const totals = reinterpret_cast<double*>(block.data());  // of each task, over its samples
  std::fill_n(totals, work.tasks() * 2 * channels, 0.0);
  const NormMask mask = mask_of(dims.relu, y);
  const bool stream = streams(work, pool, dx);
  work.for_samples([&](std::size_t n, const NormWork::Task& task) {
    const std::size_t at = n * dims.sample(), sum_at = n * summed.sample();
    const NormPool<float> own_pool = sample_of(pool, n, dims.batch);
    const double* const own = stats.data() + n * dims.groups * 2;
    double* const sums = task.sums();
    const auto add_to_totals = [&] {
      for (std::size_t i = 0; i < 2 * channels; ++i) totals[task.index() * 2 * channels + i] += sums[i];
    };
    if (!all_fit(dims, own)) {
      const WholeSample whole(device, dims, own_pool);
      const float* const own_dy = whole.spread(dy.data() + sum_at);
      reference::sample_sums(dims, x.data() + at, weight, bias, own, own_dy, piece_of(y, at), piece_of(dresidual, at),
                             sums);
      if (!dx.empty())
        reference::sample_gradient(dims, x.data() + at, weight, bias, own, own_dy, piece_of(y, at), sums,
                                   dx.data() + at);
      return add_to_totals();
    }
    set_forward_factors(work, task, or_null(weight), or_null(bias), own);
    const NormColumns columns = task.columns(set_shifts(device.target, summed, dy.data() + sum_at, task.factor(5)));
    task.repeat(5, 1);
    const auto piece = [&](std::size_t begin, std::size_t size) {
      return NormPiece{.x = of_sums + sum_at + begin,
                       .residual = nullptr,
                       .y = piece_of(y, sum_at + begin),
                       .dy = dy.data() + sum_at + begin,
                       .out = piece_of(dx, at + begin),
                       .dresidual = piece_of(dresidual, sum_at + begin),
                       .size = size,
                       .stream = stream};
    };
    task.for_pieces([&](std::size_t begin, std::size_t size, const NormSums& to) {
      column_products(device.target, piece(begin, size), mask, columns, to);
    });
    task.merge();
    backward_factors(device.target, dims, or_null(weight), sums, task.factors(), task.scratch());
    task.repeat(3, 2);
    add_to_totals();
    if (dx.empty()) return;
    if (pool.windows != nullptr)
      return for_windows(device, dims, task, *pool.windows, stream, [&](const NormWindowRows& rows) {
        gradient_windows(device.target, rows, x.data() + at, {nullptr, own_pool.largest.data(), own_pool.taps.data()},
                         dy.data() + sum_at, columns, dx.data() + at);
      });
    task.for_pieces_back([&](std::size_t begin, std::size_t size, const NormSums&) {
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
