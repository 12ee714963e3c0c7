#include "autodiff/context.h"

#include <fmt/format.h>
#include <sched.h>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "autodiff/context_state.h"
#include "autodiff/tape_state.h"
#include "autodiff/var.h"
#include "kernels/error.h"
#include "kernels/matrix_unit.h"

namespace tapestry {
namespace {

int default_threads() {
  if (const char* text = std::getenv("TAPESTRY_THREADS"); text != nullptr && *text != '\0') {
    int threads = 0;
    const char* end = text + std::strlen(text);
    const auto result = std::from_chars(text, end, threads);
    if (result.ec != std::errc{} || result.ptr != end || threads < 1 || threads > 1024)
      throw EnvironmentError(fmt::format("TAPESTRY_THREADS: needs a number from 1 to 1024, got '{}'", text));
    return threads;
  }
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? std::max(1, CPU_COUNT(&cpus)) : 1;
}

template <class Draw>
Tensor random_tensor(const Context& context, const Shape& shape, DType dtype, const Draw& draw) {
  Tensor tensor = context.empty(shape, dtype);
  visit_floating("random", dtype, [&]<class T>(T) {
    const std::span<T> out = tensor.span<T>();
    parallel_for(context.device().pool, out.size(), kernels::kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) out[i] = static_cast<T>(draw(i));
    });
  });
  return tensor;
}

}  // namespace

namespace detail {

ContextState::ContextState(ContextOptions given)
    : options(std::move(given)),
      pool(options.threads == 0 ? default_threads() : options.threads),
      device{pool, arena, options.target ? parse_target(target_name(*options.target)) : active_target(),
             options.precision, nullptr} {
  check_replica_axes(options.replicas);
  device.unit = &kernels::matrix_unit(device.target, device.precision);
  device.meter = options.meter;
  pool.measure(options.meter);
}

ContextState::~ContextState() = default;

}  // namespace detail

Context::Context(ContextOptions options) : state_(std::make_shared<detail::ContextState>(std::move(options))) {}
Context::~Context() = default;
Context::Context(Context&&) noexcept = default;

const kernels::Device& Context::device() const { return state_->device; }
const ContextOptions& Context::options() const { return state_->options; }
int Context::threads() const { return state_->pool.threads(); }
Target Context::target() const { return state_->device.target; }
Arena::Usage Context::memory() const { return state_->arena.usage(); }

Tensor Context::empty(const Shape& shape, DType dtype) const { return Tensor(state_->arena, shape, dtype); }

Tensor Context::full(const Shape& shape, double value, DType dtype) const {
  Tensor tensor = empty(shape, dtype);
  tensor.fill(value);
  return tensor;
}

template <class T>
Tensor Context::tensor(const Shape& shape, std::span<const T> values) const {
  if (static_cast<std::int64_t>(values.size()) != shape.size())
    throw ShapeError(fmt::format("tensor: {} needs {} values, got {}", to_string(shape), shape.size(), values.size()));
  Tensor tensor = empty(shape, dtype_of<T>());
  std::ranges::copy(values, tensor.span<T>().begin());
  return tensor;
}
template Tensor Context::tensor(const Shape&, std::span<const float>) const;
template Tensor Context::tensor(const Shape&, std::span<const double>) const;
template Tensor Context::tensor(const Shape&, std::span<const std::int64_t>) const;

Tensor Context::uniform(const Shape& shape, double low, double high, std::uint64_t stream, DType dtype) const {
  if (!(low <= high) || !std::isfinite(high - low))
    throw ArgumentError(fmt::format("uniform: needs finite low <= high, got {} and {}", low, high));
  const Philox philox(seed(), stream);
  return random_tensor(*this, shape, dtype, [&](std::size_t i) { return low + (high - low) * philox.uniform(i); });
}

Tensor Context::normal(const Shape& shape, double mean, double std, std::uint64_t stream, DType dtype) const {
  if (!std::isfinite(mean) || !std::isfinite(std) || std < 0)
    throw ArgumentError(fmt::format("normal: needs a finite mean and std >= 0, got {} and {}", mean, std));
  const Philox philox(seed(), stream);
  return random_tensor(*this, shape, dtype,
                       [&](std::size_t i) { return mean + std * normal_pair(philox, i / 2)[i % 2]; });
}

Var Context::input(Tensor x) const {
  if (!x) throw ArgumentError("input: the tensor holds nothing");
  return Var(std::move(x), state_.get(), nullptr, 0, -1);
}

void Context::warn(std::string_view message) const {
  if (options().warn) return options().warn(message);
  std::fputs(fmt::format("tapestry: warning: {}\n", message).c_str(), stderr);
}

std::shared_ptr<const void> Context::names() const { return state_->names; }

const char* Context::intern(std::string_view name) const {
  const std::lock_guard lock(state_->mutex);
  return state_->names->emplace(name).first->c_str();
}

}  // namespace tapestry
