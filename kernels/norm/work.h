// How the work of norm_channels.cc is cut, and where its sums and factors lie.
#pragma once

#include <algorithm>
#include <numeric>
#include <span>

#include "kernels/device.h"
#include "kernels/norm/columns.h"
#include "kernels/norm/factors.h"
#include "kernels/norm/mask.h"
#include "kernels/reference/norm_channels.h"

namespace tapestry::kernels {

// How samples are cut into pieces, and where each piece and each task has its numbers. Small samples are tasks as a
// whole, so that their second pass finds them in the cache; few large ones share their pieces out.
class NormWork {
 public:
  NormWork(const Device& device, const ChannelNormDims& dims)
      : dims(dims), device(device), width_(dims.channels * repeats(dims)) {
    piece_ = std::max(width_, 2 * kGrain / width_ * width_);
    pieces_ = (dims.sample() + piece_ - 1) / piece_;
    whole_ = pieces_ == 1 || dims.batch >= 8;
    grain_ = whole_ ? std::max<std::size_t>(1, kGrain / dims.sample()) : dims.batch;
    const std::size_t tasks = (dims.batch + grain_ - 1) / grain_;
    doubles_ = pieces_ * 2 * width_ + kDoubles * dims.channels;
    floats_ = pieces_ * 2 * width_ + kFactors * width_;
    block_ = device.arena.allocate(tasks * (doubles_ * sizeof(double) + floats_ * sizeof(float)));
    first_ = reinterpret_cast<double*>(block_.data());
    tasks_ = tasks;
  }

  // The numbers of one task.
  class Task {
   public:
    Task(const NormWork& work, std::size_t index, bool alone)
        : work_(work),
          sums_(work.first_ + index * work.doubles_),
          floats_(reinterpret_cast<float*>(work.first_ + work.tasks_ * work.doubles_) + index * work.floats_),
          index_(index),
          alone_(alone) {}

    std::size_t index() const { return index_; }
    bool alone() const { return alone_; }   // on one thread
    double* sums() const { return sums_; }  // [2, channels], once they are merged

    NormFactors factors() const {
      return {factor(0), factor(1), factor(2), factor(3), factor(4), factor(5), doubles(0), doubles(1)};
    }
    double* scratch() const { return doubles(2); }  // [3, channels]
    float* factor(std::size_t k) const { return floats_ + work_.pieces_ * 2 * work_.width_ + k * work_.width_; }
    NormColumns columns(bool shift = false) const {
      return {work_.width_, factor(0), factor(1), factor(2), factor(3), factor(4), shift ? factor(5) : nullptr};
    }
    // Calls body(begin, size, sums) for each piece of the sample.
    template <class Body>
    void for_pieces(const Body& body) const {
      run_pieces([&](std::size_t i) { piece(i, body); });
    }
    // The same, from the last piece to the first: a second pass begins with what the caches still hold of the first.
    template <class Body>
    void for_pieces_back(const Body& body) const {
      run_pieces([&](std::size_t i) { piece(work_.pieces_ - 1 - i, body); });
    }
    // Makes sums() of those [2, width] of all pieces, in order.
    void merge() const {
      const std::size_t width = work_.width_, channels = work_.dims.channels;
      for (std::size_t i = 1; i < work_.pieces_; ++i)
        for (std::size_t j = 0; j < 2 * width; ++j) sums_[j] += sums_[i * 2 * width + j];
      for (std::size_t k = 0; k < 2 && width > channels; ++k)
        for (std::size_t c = 0; c < channels; ++c) {
          double sum = sums_[k * width + c];
          for (std::size_t j = c + channels; j < width; j += channels) sum += sums_[k * width + j];
          sums_[k * channels + c] = sum;
        }
    }
    // Copies the factors of the channels to the other columns.
    void repeat(std::size_t first, std::size_t count) const {
      const std::size_t width = work_.width_, channels = work_.dims.channels;
      for (std::size_t k = first; k < first + count; ++k)
        for (std::size_t j = channels; j < width; ++j) factor(k)[j] = factor(k)[j - channels];
    }

   private:
    template <class Body>
    void piece(std::size_t i, const Body& body) const {
      const std::size_t begin = i * work_.piece_, width = work_.width_;
      body(begin, std::min(work_.piece_, work_.dims.sample() - begin),
           NormSums{floats_ + i * 2 * width, sums_ + i * 2 * width});
    }
    template <class Body>
    void run_pieces(const Body& body) const {
      if (!alone_) return work_.device.pool.run(work_.pieces_, body);
      for (std::size_t i = 0; i < work_.pieces_; ++i) body(i);
    }
    double* doubles(std::size_t k) const { return sums_ + work_.pieces_ * 2 * work_.width_ + k * work_.dims.channels; }

    const NormWork& work_;
    double* sums_;
    float* floats_;
    std::size_t index_;
    bool alone_;
  };

  // Calls body(sample, task) for each sample.
  template <class Body>
  void for_samples(const Body& body) const {
    if (!whole_) {
      for (std::size_t n = 0; n < dims.batch; ++n) body(n, Task(*this, 0, false));
      return;
    }
    parallel_for(device.pool, dims.batch, grain_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t n = begin; n < end; ++n) body(n, Task(*this, begin / grain_, true));
    });
  }

  std::size_t tasks() const { return tasks_; }
  std::size_t width() const { return width_; }

  const ChannelNormDims& dims;
  const Device& device;

 private:
  static constexpr std::size_t kFactors = 6, kDoubles = 5;

  // How many positions make a row of columns: whole vectors of 16, and at least 64 numbers where the sample has them.
  static std::size_t repeats(const ChannelNormDims& dims) {
    if (dims.channels >= 128) return 1;
    std::size_t count = 16 / std::gcd(dims.channels, std::size_t{16});
    while (count * dims.channels < 64) count *= 2;
    return count <= dims.positions ? count : 1;
  }

  std::size_t width_, piece_, pieces_, grain_, tasks_, doubles_, floats_;
  bool whole_;
  Block block_;
  double* first_;
};

}  // namespace tapestry::kernels
