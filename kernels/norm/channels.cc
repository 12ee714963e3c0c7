#include "kernels/norm_channels.h"

#include <algorithm>
#include <cmath>

#include "kernels/norm/mask.h"
#include "kernels/norm/windows.h"
#include "kernels/norm/work.h"
#include "kernels/simd/or_null.h"

namespace tapestry::kernels {
namespace {

// Whether floats can hold what lies between x and y, an rstd up to 1e30 among it: elsewhere a sample goes through the
// plain loops in double.
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

bool all_fit(const ChannelNormDims& dims, std::span<const double> stats) {
  for (std::size_t g = 0; g < dims.groups; ++g)
    if (!fits_float(stats[2 * g + 1], dims.epsilon)) return false;
  return true;
}

// From the arguments of one sample, forward or backward.
template <class Sample>
void set_forward_factors(const NormWork& work, const NormWork::Task& task, const Sample& sample) {
  forward_factors(work.device.target, work.dims, or_null(sample.weight), or_null(sample.bias), sample.stats.data(),
                  task.factors());
  task.repeat(0, 3);
}

const float* piece_of(std::span<const float> values, std::size_t at) {
  return values.empty() ? nullptr : values.data() + at;
}
float* piece_of(std::span<float> values, std::size_t at) { return values.empty() ? nullptr : values.data() + at; }

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

// A sample by plain loops, where floats cannot hold what lies between; whatever it pools is scratch.
void normalize_in_double(const Device& device, const ChannelNormDims& dims, const ChannelNormForward<float>& sample) {
  if (sample.pool.windows == nullptr) return reference::normalize_sample(dims, sample);
  const Block block = device.arena.allocate(sample.x.size_bytes());
  ChannelNormForward<float> whole = sample;
  whole.y = {reinterpret_cast<float*>(block.data()), sample.x.size()};
  reference::normalize_sample(dims, whole);
  reference::pool_windows(sample.pool, dims.channels, sample.x, std::span<const float>(whole.y), sample.y);
}
void gradient_in_double(const Device& device, const ChannelNormDims& dims, const ChannelNormBackward<float>& sample,
                        double* sums) {
  const Block block = device.arena.allocate(sample.pool.windows == nullptr ? 0 : sample.x.size_bytes());
  ChannelNormBackward<float> whole = sample;
  if (sample.pool.windows != nullptr) {
    const std::span<float> spread(reinterpret_cast<float*>(block.data()), sample.x.size());
    reference::spread_windows(sample.pool, dims.channels, sample.dy, spread);
    whole.dy = spread;
  }
  reference::sample_sums(dims, whole, sums);
  if (!whole.dx.empty()) reference::sample_gradient(dims, whole);
}

// What the sums of a backward pass run over: x, or of pooled norms the largest of each window, whose gradients are no
// differences from a common one.
ChannelNormDims summed_dims(ChannelNormDims dims, const NormPool<float>& pool) {
  if (pool.windows == nullptr) return dims;
  dims.positions /= pool.windows->taps();
  dims.relu = true;
  return dims;
}

// Leaves the sums of g h and of g over one sample in task.sums(), and writes its gradients.
void backward_of_sample(const NormWork& work, const ChannelNormDims& dims, const ChannelNormBackward<float>& own,
                        const NormWork::Task& task, bool stream) {
  const Device& device = work.device;
  double* const sums = task.sums();
  if (!all_fit(dims, own.stats)) return gradient_in_double(device, dims, own, sums);
  set_forward_factors(work, task, own);
  const NormColumns columns = task.columns(set_shifts(device.target, work.dims, own.dy.data(), task.factor(5)));
  task.repeat(5, 1);
  const NormMask mask = mask_of(dims.relu, own.y);
  const auto piece = [&, of_sums = own.pool.windows == nullptr ? own.x.data() : own.pool.largest.data()](
                         std::size_t begin, std::size_t size) {
    return NormPiece{.x = of_sums + begin,
                     .y = piece_of(own.y, begin),
                     .dy = own.dy.data() + begin,
                     .out = piece_of(own.dx, begin),
                     .dresidual = piece_of(own.dresidual, begin),
                     .size = size,
                     .stream = stream};
  };
  task.for_pieces([&](std::size_t begin, std::size_t size, const NormSums& to) {
    column_products(device.target, piece(begin, size), mask, columns, to);
  });
  task.merge();
  backward_factors(device.target, dims, or_null(own.weight), sums, task.factors(), task.scratch());
  task.repeat(3, 2);
  if (own.dx.empty()) return;
  if (own.pool.windows != nullptr)
    return for_windows(device, dims, task, *own.pool.windows, stream, [&](const NormWindowRows& rows) {
      gradient_windows(device.target, rows, own.x.data(), {nullptr, own.pool.largest.data(), own.pool.taps.data()},
                       own.dy.data(), columns, own.dx.data());
    });
  task.for_pieces_back([&](std::size_t begin, std::size_t size, const NormSums&) {
    NormPiece masked = piece(begin, size);
    if (masked.dresidual != nullptr) masked.dy = masked.dresidual;
    gradient_columns(device.target, masked, own.dresidual.empty() ? mask : NormMask::none, columns);
  });
}

// Adds the numbers from `first` on of each row of totals [tasks, sums], in the order of the tasks.
void add_totals(std::span<const double> totals, std::size_t sums, std::size_t first, std::span<float> out) {
  for (std::size_t c = 0; c < out.size(); ++c) {
    double sum = 0;
    for (std::size_t row = 0; row < totals.size(); row += sums) sum += totals[row + first + c];
    out[c] = static_cast<float>(static_cast<double>(out[c]) + sum);
  }
}

}  // namespace

void channel_norm_forward(const Device& device, const ChannelNormDims& dims, const ChannelNormForward<float>& a) {
  if (a.x.empty()) return;
  const NormWork work(device, dims);
  const bool stream = streams(work, a.pool, a.y) && (a.pool.largest.empty() || streams(work, a.pool, a.pool.largest));
  work.for_samples([&](std::size_t n, const NormWork::Task& task) {
    const ChannelNormForward<float> own = a.sample(dims.batch, n);
    if (!dims.frozen) find_moments(work, task, own.x.data(), own.stats.data());
    if (!all_fit(dims, own.stats)) return normalize_in_double(device, dims, own);
    set_forward_factors(work, task, own);
    if (own.pool.windows != nullptr)
      return for_windows(device, dims, task, *own.pool.windows, stream, [&](const NormWindowRows& rows) {
        normalize_windows(device.target, rows, own.x.data(), task.columns(),
                          {own.y.data(), or_null(own.pool.largest), or_null(own.pool.taps)});
      });
    task.for_pieces_back([&](std::size_t begin, std::size_t size, const NormSums&) {
      const NormPiece piece{.x = own.x.data() + begin,
                            .residual = piece_of(own.residual, begin),
                            .out = own.y.data() + begin,
                            .size = size,
                            .stream = stream};
      normalize_columns(device.target, piece, dims.relu, task.columns());
    });
  });
}

void channel_norm_backward(const Device& device, const ChannelNormDims& dims, const ChannelNormBackward<float>& a) {
  if (a.x.empty()) return;
  const ChannelNormDims summed = summed_dims(dims, a.pool);
  const NormWork work(device, summed);
  const std::size_t sums = 2 * dims.channels;
  const Block block = device.arena.allocate(work.tasks() * sums * sizeof(double));
  const std::span<double> totals(reinterpret_cast<double*>(block.data()), work.tasks() * sums);
  std::ranges::fill(totals, 0.0);
  const bool stream = streams(work, a.pool, a.dx);
  work.for_samples([&](std::size_t n, const NormWork::Task& task) {
    backward_of_sample(work, dims, a.sample(dims.batch, n), task, stream);
    for (std::size_t i = 0; i < sums; ++i) totals[task.index() * sums + i] += task.sums()[i];
  });
  add_totals(totals, sums, 0, a.dweight);
  add_totals(totals, sums, dims.channels, a.dbias);
}

}  // namespace tapestry::kernels
