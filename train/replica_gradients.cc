#include "train/replica_gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/error.h"

namespace tapestry::train::detail {
namespace {

using Entries = std::span<const ParameterGradient>;

std::string_view name_of(Entries entries, std::size_t i) {
  return i < entries.size() ? std::string_view(entries[i].parameter.name()) : "nothing";
}

void check_same(Entries first, Entries other, std::size_t replica) {
  for (std::size_t i = 0; i < std::max(first.size(), other.size()); ++i) {
    if (i >= first.size() || i >= other.size() || first[i].parameter != other[i].parameter)
      throw ArgumentError(fmt::format("replicas: gradient {} is of '{}' in replica 0, of '{}' in replica {}", i,
                                      name_of(first, i), name_of(other, i), replica));
    if (static_cast<bool>(first[i].gradient) != static_cast<bool>(other[i].gradient))
      throw ArgumentError(fmt::format("replicas: '{}' has a gradient in replica {}, but none in replica {}",
                                      name_of(first, i), first[i].gradient ? 0 : replica,
                                      first[i].gradient ? replica : 0));
  }
}

// Elements [begin, end) of entry i, in all replicas.
template <class T>
void mean_of(std::span<const Gradients* const> shared, std::size_t i, std::size_t begin, std::size_t end) {
  std::array<double, 512> sum;
  for (std::size_t size; begin < end; begin += size) {
    size = std::min(sum.size(), end - begin);
    for (const Gradients* gradients : shared) {
      const T* values = reinterpret_cast<const T*>(gradients->parameters()[i].gradient.raw()) + begin;
      for (std::size_t k = 0; k < size; ++k) sum[k] = gradients == shared[0] ? values[k] : sum[k] + values[k];
    }
    for (const Gradients* gradients : shared) {
      Tensor gradient = gradients->parameters()[i].gradient;
      T* values = reinterpret_cast<T*>(gradient.raw()) + begin;
      for (std::size_t k = 0; k < size; ++k) values[k] = static_cast<T>(sum[k] / static_cast<double>(shared.size()));
    }
  }
}

}  // namespace

void mean_gradients(Meeting& meeting, int replica, const Call& all, const Gradients& own,
                    std::span<const Gradients*> shared) {
  // The gradients will change: each replica takes a writable span of its own, after which an optimizer no longer trusts
  // that backward found them finite.
  for (const ParameterGradient& entry : own.parameters())
    if (Tensor gradient = entry.gradient)
      visit_floating("gradient", gradient.dtype(), [&]<class T>(T) { gradient.span<T>(); });
  shared[static_cast<std::size_t>(replica)] = &own;
  meeting.meet(replica, all, [&] {
    for (std::size_t other = 1; other < shared.size(); ++other)
      check_same(shared[0]->parameters(), shared[other]->parameters(), other);
  });
  // Each replica has a share of the elements and writes it everywhere. Nothing throws until all have met again, so that
  // nobody's gradients go away meanwhile.
  const std::size_t index = static_cast<std::size_t>(replica), count = shared.size();
  for (std::size_t i = 0; i < own.parameters().size(); ++i) {
    const Tensor& gradient = own.parameters()[i].gradient;
    const auto size = static_cast<std::size_t>(gradient.size());
    const std::size_t begin = size * index / count, end = size * (index + 1) / count;
    if (size != 0) visit_floating("gradient", gradient.dtype(), [&]<class T>(T) { mean_of<T>(shared, i, begin, end); });
  }
  meeting.meet(replica, all, [] {});
}

}  // namespace tapestry::train::detail
