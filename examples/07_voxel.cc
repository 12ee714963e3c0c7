// Three dimensions: a network with batch norm tells solids that are drawn as voxels, turned, scaled and noisy.
#include <fmt/format.h>

#include "examples/program.h"

using namespace tapestry;

namespace {

Sequential convolution(std::int64_t out) {
  return Conv3d{{.out = out, .kernel = 3, .padding = 1, .bias = false}} >> pytorch::batch_norm3d() >> Relu{};
}

// Line y of a solid seen along its first axis: the nearer the first bright voxel, the darker the letter.
std::string line_of(const data::Dataset& solids, std::int64_t number, std::int64_t y) {
  static constexpr std::string_view kShades = "@@%#*+=-:.";
  const Shape shape = solids.sample_shape();  // [D, H, W, 1]
  const std::int64_t depth = shape[0], height = shape[1], width = shape[2];
  const auto voxel = [&](std::int64_t z, std::int64_t x) {
    return solids.bytes(number)[static_cast<std::size_t>((z * height + y) * width + x)];
  };
  std::string line;
  for (std::int64_t x = 1; x + 1 < width; ++x) {
    std::int64_t z = 0;
    while (z < depth && voxel(z, x) < 110) ++z;
    line += z == depth ? ' ' : kShades[static_cast<std::size_t>(z) * kShades.size() / static_cast<std::size_t>(depth)];
  }
  return line;
}

// The first six solids in two rows, for a terminal of 80 columns.
void show(const data::Dataset& solids) {
  for (const std::int64_t first : {0, 3}) {
    for (std::int64_t y = 0; y < solids.sample_shape()[1]; y += 2)  // letters are twice as high as wide
      fmt::print(stderr, "{}{}{}\n", line_of(solids, first, y), line_of(solids, first + 1, y),
                 line_of(solids, first + 2, y));
    const auto name = [&](std::int64_t i) {
      return solids.classes()[static_cast<std::size_t>(solids.labels()[static_cast<std::size_t>(i)])];
    };
    fmt::print(stderr, "{:^26}{:^26}{:^26}\n\n", name(first), name(first + 1), name(first + 2));
  }
}

int voxel(const example::Options& options) {
  Context context = example::make_context(options);
  const data::Split data = example::shorten(data::solids({.seed = options.seed}), options);
  if (!options.quiet) show(data.train);

  Sequential model = Input{16, 28, 28, 1} >> convolution(16) >> MaxPool3d{2} >> convolution(32) >> MaxPool3d{2} >>
                     convolution(64) >> GlobalAvgPool{} >> Linear{{.out = 10}};
  model.build(context);

  return example::train(context, model, data, options);
}

}  // namespace

int main(int argc, char** argv) {
  return example::run(argc, argv, "Trains a network in three dimensions to tell 10 kinds of solids.",
                      {.dataset = "",
                       .epochs = 8,
                       .batch_size = 32,
                       .test_batch_size = 100,
                       .lr = 3e-3,
                       .weight_decay = 0.05,
                       .out = "runs/voxel"},
                      voxel);
}
