// Three dimensions: a network with batch norm tells solids that are drawn as voxels, turned, scaled and noisy.
#include <fmt/format.h>

#include "examples/program.h"

using namespace tapestry;

namespace {

Sequential convolution(std::int64_t out) {
  return Conv3d{{.out = out, .kernel = 3, .padding = 1, .bias = false}} >> BatchNorm3d{} >> Relu{};
}

// A solid seen along its first axis: the nearer the first bright voxel, the darker the letter.
std::vector<std::string> picture(const data::Dataset& solids, std::int64_t number) {
  static constexpr std::string_view kShades = "@%#*+=-:.";
  const Shape shape = solids.sample_shape();  // [D, H, W, 1]
  const auto voxels = solids.bytes(number);
  std::vector<std::string> lines;
  for (std::int64_t y = 0; y < shape[1]; y += 2) {  // letters are twice as high as wide
    std::string line;
    for (std::int64_t x = 0; x < shape[2]; ++x) {
      std::int64_t z = 0;
      while (z < shape[0] && voxels[static_cast<std::size_t>((z * shape[1] + y) * shape[2] + x)] < 110) ++z;
      line += z == shape[0]
                  ? ' '
                  : kShades[static_cast<std::size_t>(z) * kShades.size() / static_cast<std::size_t>(shape[0])];
    }
    lines.push_back(line);
  }
  return lines;
}

void show(const data::Dataset& solids) {
  for (std::int64_t first = 0; first + 5 <= 10; first += 5) {
    std::vector<std::vector<std::string>> row;
    for (std::int64_t i = first; i < first + 5; ++i) row.push_back(picture(solids, i));
    for (std::size_t line = 0; line < row[0].size(); ++line) {
      std::string text;
      for (const auto& solid : row) text += solid[line];
      fmt::print(stderr, "{}\n", text);
    }
    std::string names;
    for (std::int64_t i = first; i < first + 5; ++i)
      names += fmt::format("{:^{}}",
                           solids.classes()[static_cast<std::size_t>(solids.labels()[static_cast<std::size_t>(i)])],
                           solids.sample_shape()[2]);
    fmt::print(stderr, "{}\n\n", names);
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
