// Times norms with what follows them, forward and backward, three ways by turns on the same numbers: as ops on a tape,
// as calls of the kernels, and as plain loops over the passes that the norm needs. Prints one JSON object a line, with
// the fields of bench/peer/torch_norms.py; bench/compare_torch_norms sets both side by side.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>

#include "autodiff/ops/norm.h"
#include "autodiff/tape.h"
#include "autodiff/version.h"
#include "bench/plain_loops.h"
#include "kernels/error.h"
#include "kernels/norm_channels.h"
#include "kernels/norm_rows.h"

namespace {

using namespace tapestry;

constexpr std::int64_t kGroups = 32;

enum class Kind { batch_norm_relu, group_norm_relu, layer_norm };
struct Case {
  const char* name;
  Kind kind;
  Shape shape;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  const Shape images[] = {{64, 28, 28, 64}, {128, 14, 14, 128}, {64, 8, 8, 256}, {16, 16, 28, 28, 32}};
  for (const Shape& shape : images) all.push_back({"batch_norm+relu", Kind::batch_norm_relu, shape});
  for (const Shape& shape : images) all.push_back({"group_norm32+relu", Kind::group_norm_relu, shape});
  for (const Shape& shape : {Shape{4096, 256}, {4096, 768}, {512, 4096}})
    all.push_back({"layer_norm", Kind::layer_norm, shape});
  return all;
}

struct Tensors {
  Tensors(const Context& context, const Case& c)
      : x(context.normal(c.shape, 0.5, 2, 1)),
        dy(context.normal(c.shape, 0, 1, 2)),
        y(context.zeros(c.shape)),
        dx(context.zeros(c.shape)),
        weight(context.uniform({c.shape[-1]}, 0.5, 1.5, 3)),
        bias(context.uniform({c.shape[-1]}, -1, 1, 4)),
        dweight(context.zeros({c.shape[-1]})),
        dbias(context.zeros({c.shape[-1]})) {
    const std::int64_t sets = c.kind == Kind::batch_norm_relu   ? c.shape[-1]
                              : c.kind == Kind::group_norm_relu ? c.shape[0] * kGroups
                                                                : c.shape[0];
    stats = context.zeros({sets, 2}, DType::float64);
  }
  Tensor x, dy, y, dx, weight, bias, dweight, dbias, stats;
};

// The op, recorded, and its way back.
void run_op(Context& context, const Case& c, const Tensors& t) {
  Tape tape{context};
  const Var x = tape.variable(t.x), weight = tape.variable(t.weight), bias = tape.variable(t.bias);
  const Var y = c.kind == Kind::layer_norm ? layer_norm(x, weight, bias)
                : c.kind == Kind::group_norm_relu
                    ? group_norm(x, weight, bias, {.num_groups = kGroups, .activation = Activation::relu})
                    : batch_norm(x, weight, bias, {.activation = Activation::relu});
  tape.backward(y, t.dy);
}

class Kernels {
 public:
  Kernels(const Context& context, const Case& c, Tensors& t)
      : device_(context.device()), rows_(c.kind == Kind::layer_norm), t_(t) {
    const auto size = static_cast<std::size_t>(c.shape.size()), channels = static_cast<std::size_t>(c.shape[-1]);
    const std::size_t batch = c.kind == Kind::group_norm_relu ? static_cast<std::size_t>(c.shape[0]) : 1;
    row_ = {.rows = size / channels, .n = channels};
    channel_ = {.batch = batch,
                .positions = size / channels / batch,
                .channels = channels,
                .groups = c.kind == Kind::group_norm_relu ? static_cast<std::size_t>(kGroups) : channels,
                .relu = true};
  }
  void forward() {
    if (rows_)
      kernels::row_norm_forward(device_, row_, forward_arguments<kernels::RowNormForward<float>>());
    else
      kernels::channel_norm_forward(device_, channel_, forward_arguments<kernels::ChannelNormForward<float>>());
  }
  void backward() {
    if (rows_)
      kernels::row_norm_backward(device_, row_, backward_arguments<kernels::RowNormBackward<float>>());
    else
      kernels::channel_norm_backward(device_, channel_, backward_arguments<kernels::ChannelNormBackward<float>>());
  }

 private:
  template <class Arguments>
  Arguments forward_arguments() {
    return {.x = t_.x.span<float>(),
            .weight = t_.weight.span<float>(),
            .bias = t_.bias.span<float>(),
            .y = t_.y.span<float>(),
            .stats = t_.stats.span<double>()};
  }
  template <class Arguments>
  Arguments backward_arguments() {
    return {.x = t_.x.span<float>(),
            .weight = t_.weight.span<float>(),
            .bias = t_.bias.span<float>(),
            .stats = t_.stats.span<double>(),
            .dy = t_.dy.span<float>(),
            .dx = t_.dx.span<float>(),
            .dweight = t_.dweight.span<float>(),
            .dbias = t_.dbias.span<float>()};
  }
  const kernels::Device& device_;
  bool rows_;
  Tensors& t_;
  kernels::RowNormDims row_;
  kernels::ChannelNormDims channel_;
};

// The passes that a norm needs, at least. Forward: one that reads x for the statistics, and one that reads x and
// writes y. Backward: one that reads x and dy for the sums, and one that reads both and writes dx. What shares
// statistics goes through both before the next begins: the whole tensor, a sample, a row; so the second pass is one
// over memory, over the L2 or over the L1, whatever holds it. The ReLU, weights and statistics move nothing.
class Loops {
 public:
  Loops(const Context& context, const Case& c, Tensors& t)
      : device_(context.device()),
        size_(static_cast<std::size_t>(c.shape.size())),
        x_(std::as_const(t.x).span<float>().data()),
        dy_(std::as_const(t.dy).span<float>().data()),
        y_(t.y.span<float>().data()),
        dx_(t.dx.span<float>().data()) {
    set_ = c.kind == Kind::batch_norm_relu ? size_ : size_ / static_cast<std::size_t>(c.shape[0]);
  }
  void forward() {
    passes([&](std::size_t at, std::size_t size) { return bench::read_one(device_.target, x_ + at, size); },
           [&](std::size_t at, std::size_t size) { bench::read_one_write(device_.target, x_ + at, y_ + at, size); });
  }
  void backward() {
    passes([&](std::size_t at, std::size_t size) { return bench::read_two(device_.target, x_ + at, dy_ + at, size); },
           [&](std::size_t at, std::size_t size) {
             bench::read_two_write(device_.target, x_ + at, dy_ + at, dx_ + at, size);
           });
  }

 private:
  template <class Read, class Write>
  void passes(const Read& read, const Write& write) {
    std::atomic<float> kept = 0;
    if (set_ == size_) {
      parallel_for(device_.pool, size_, kPiece,
                   [&](std::size_t begin, std::size_t end) { kept = read(begin, end - begin); });
      parallel_for(device_.pool, size_, kPiece, [&](std::size_t begin, std::size_t end) { write(begin, end - begin); });
      return;
    }
    parallel_for(device_.pool, size_ / set_, std::max<std::size_t>(1, kPiece / set_),
                 [&](std::size_t begin, std::size_t end) {
                   for (std::size_t i = begin; i < end; ++i) {
                     kept = read(i * set_, set_);
                     write(i * set_, set_);
                   }
                 });
  }
  static constexpr std::size_t kPiece = 32768;
  const kernels::Device& device_;
  std::size_t size_, set_;
  const float *x_, *dy_;
  float *y_, *dx_;
};

double median(std::vector<double> times) {
  std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
  return times[times.size() / 2];
}

nlohmann::ordered_json measure(Context& context, const Case& c, double seconds) {
  Tensors t(context, c);
  Kernels kernels(context, c, t);
  Loops loops(context, c, t);
  using Clock = std::chrono::steady_clock;
  std::array<std::vector<double>, 5> times;
  const auto time = [&](std::size_t to, const auto& work) {
    const auto start = Clock::now();
    work();
    times[to].push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  };
  const auto round = [&] {
    time(0, [&] { kernels.forward(); });
    time(1, [&] { kernels.backward(); });
    time(2, [&] { loops.forward(); });
    time(3, [&] { loops.backward(); });
    time(4, [&] { run_op(context, c, t); });
  };
  for (int i = 0; i < 3; ++i) round();
  for (auto& list : times) list.clear();
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (times[0].size() < 5 || Clock::now() < end) round();
  const auto both = [&](std::size_t first) {
    std::vector<double> sums;
    for (std::size_t i = 0; i < times[first].size(); ++i) sums.push_back(times[first][i] + times[first + 1][i]);
    return median(sums);
  };
  return {{"peer", fmt::format("tapestry-{}", kVersion)},
          {"op", c.name},
          {"shape", to_string(c.shape)},
          {"threads", context.threads()},
          {"target", target_name(context.target())},
          {"ms_median", median(times[4])},
          {"ms_kernels", both(0)},
          {"ms_loops", both(2)},
          {"ms_kernels_forward", median(times[0])},
          {"ms_kernels_backward", median(times[1])},
          {"ms_loops_forward", median(times[2])},
          {"ms_loops_backward", median(times[3])},
          {"loops_share", both(2) / both(0)}};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Norms forward and backward: ops, kernels, and plain loops over the same passes."};
  int threads = 1;
  double seconds = 1;
  std::string only;
  app.add_option("--threads", threads, "threads")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--seconds", seconds, "time for each case")->check(CLI::Range(0.0, 3600.0))->capture_default_str();
  app.add_option("--only", only, "part of 'op shape'");
  CLI11_PARSE(app, argc, argv);
  try {
    Context context{{.threads = threads}};
    for (const Case& c : cases())
      if (fmt::format("{} {}", c.name, to_string(c.shape)).find(only) != std::string::npos) {
        fmt::print("{}\n", measure(context, c, seconds).dump());
        std::fflush(stdout);
      }
  } catch (const Error& error) {
    fmt::print(stderr, "norm_step: {}\n", error.what());
    return 1;
  }
}
