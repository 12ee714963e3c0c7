#include "data/solids.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "kernels/error.h"

namespace tapestry::data {
namespace {

using Point = std::array<double, 3>;
using Rotation = std::array<Point, 3>;

constexpr std::uint64_t kFirstTest = std::uint64_t{1} << 40;  // stream of the first test example

double around_axis(const Point& p) { return std::hypot(p[0], p[1]); }
double length(const Point& p) { return std::hypot(p[0], p[1], p[2]); }

constexpr double kRadius = 1.1;  // of a ball that any solid fits into

// How far p lies outside of each solid, negative inside. Beside a slanted face the difference along an axis is too
// long: 0.9 is about 1 / sqrt(1 + slope^2), 0.58 is 1 / sqrt(3).
double ball(const Point& p) { return length(p) - 0.95; }
double cube(const Point& p) { return std::max({std::abs(p[0]), std::abs(p[1]), std::abs(p[2])}) - 0.63; }
double cylinder(const Point& p) { return std::max(around_axis(p) - 0.6, std::abs(p[2]) - 0.85); }
double cone(const Point& p) { return std::max(-p[2] - 0.65, 0.9 * (around_axis(p) - 0.48 * (1.05 - p[2]))); }
double torus(const Point& p) { return std::hypot(around_axis(p) - 0.75, p[2]) - 0.27; }
double pyramid(const Point& p) {
  return std::max(-p[2] - 0.55, 0.9 * (std::max(std::abs(p[0]), std::abs(p[1])) - 0.42 * (1.05 - p[2])));
}
double octahedron(const Point& p) { return 0.58 * (std::abs(p[0]) + std::abs(p[1]) + std::abs(p[2]) - 1.1); }
double capsule(const Point& p) { return length({p[0], p[1], p[2] - std::clamp(p[2], -0.7, 0.7)}) - 0.38; }
double cross(const Point& p) {
  std::array<double, 3> along{std::abs(p[0]), std::abs(p[1]), std::abs(p[2])};
  std::ranges::sort(along);
  return std::max(along[1] - 0.25, along[2] - 1);
}
double half_ball(const Point& p) { return std::max(length({p[0], p[1], p[2] + 0.35}) - 1, -p[2] - 0.35); }

struct Kind {
  const char* name;
  double (*distance)(const Point&);
};
constexpr Kind kKinds[] = {{"ball", ball},   {"cube", cube},          {"cylinder", cylinder},     {"cone", cone},
                           {"torus", torus}, {"pyramid", pyramid},    {"octahedron", octahedron}, {"capsule", capsule},
                           {"cross", cross}, {"half ball", half_ball}};
constexpr std::size_t kKindCount = std::size(kKinds);

Rotation rotation(double u, double v, double w) {
  constexpr double kTurn = 2 * std::numbers::pi;
  const double x = std::sqrt(1 - u) * std::sin(kTurn * v), y = std::sqrt(1 - u) * std::cos(kTurn * v),
               z = std::sqrt(u) * std::sin(kTurn * w), s = std::sqrt(u) * std::cos(kTurn * w);
  return {{{1 - 2 * (y * y + z * z), 2 * (x * y - s * z), 2 * (x * z + s * y)},
           {2 * (x * y + s * z), 1 - 2 * (x * x + z * z), 2 * (y * z - s * x)},
           {2 * (x * z - s * y), 2 * (y * z + s * x), 1 - 2 * (x * x + y * y)}}};
}

// One example; counters 0 to 7 of its stream place the solid, the others are noise.
void draw(const Kind& kind, const SolidsOptions& options, std::uint64_t stream, std::span<std::uint8_t> voxels) {
  const Philox philox(options.seed, stream);
  const Rotation turn = rotation(philox.uniform(0), philox.uniform(1), philox.uniform(2));
  const std::array<std::int64_t, 3> sizes{options.depth, options.height, options.width};
  const double fits = static_cast<double>(std::ranges::min(sizes)) / 2 / kRadius;
  const double scale = fits * (0.7 + 0.3 * philox.uniform(3)), brightness = 0.6 + 0.4 * philox.uniform(4);
  Point center;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double half = static_cast<double>(sizes[axis]) / 2;
    center[axis] = half - 0.5 + (half - kRadius * scale) * (2 * philox.uniform(5 + axis) - 1);
  }
  std::array<std::uint32_t, 4> words{};
  std::size_t i = 0;
  for (std::int64_t z = 0; z < sizes[0]; ++z)
    for (std::int64_t y = 0; y < sizes[1]; ++y)
      for (std::int64_t x = 0; x < sizes[2]; ++x, ++i) {
        const Point from{static_cast<double>(x) - center[2], static_cast<double>(y) - center[1],
                         static_cast<double>(z) - center[0]};
        Point p;
        for (std::size_t axis = 0; axis < 3; ++axis)
          p[axis] = (turn[axis][0] * from[0] + turn[axis][1] * from[1] + turn[axis][2] * from[2]) / scale;
        const double filled = std::clamp(0.5 - kind.distance(p) * scale, 0.0, 1.0);  // an edge is a voxel wide
        if (i % 8 == 0) words = philox(8 + i / 8);
        const std::uint32_t bytes = words[i % 8 / 2] >> (16 * (i % 2));
        const double noise = (static_cast<double>(bytes & 255) + static_cast<double>(bytes >> 8 & 255)) / 255 - 1;
        voxels[i] = static_cast<std::uint8_t>(
            std::lround(255 * std::clamp(brightness * filled + options.noise * noise, 0.0, 1.0)));
      }
}

std::vector<std::uint8_t> draw_all(const SolidsOptions& options, std::int64_t count, std::uint64_t first) {
  const auto size = static_cast<std::size_t>(options.depth * options.height * options.width);
  std::vector<std::uint8_t> voxels(static_cast<std::size_t>(count) * size);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    draw(kKinds[i % kKindCount], options, first + i, std::span(voxels).subspan(i * size, size));
  return voxels;
}

DatasetInfo info_of(std::span<const std::uint8_t> voxels, const Location& where) {
  DatasetInfo info{.name = "solids", .where = where};
  for (const Kind& kind : kKinds) info.classes.emplace_back(kind.name);
  std::uint64_t sum = 0, squares = 0;
  for (const std::uint64_t voxel : voxels) {
    sum += voxel;
    squares += voxel * voxel;
  }
  if (voxels.empty()) return info;
  const double count = static_cast<double>(voxels.size()), mean = static_cast<double>(sum) / count;
  info.mean = {mean / 255};
  info.std = {std::sqrt(static_cast<double>(squares) / count - mean * mean) / 255};
  return info;
}

Dataset dataset(std::vector<std::uint8_t> voxels, std::int64_t count, const SolidsOptions& options,
                const DatasetInfo& info) {
  std::vector<std::int64_t> labels(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int64_t>(i % kKindCount);
  return Dataset(std::move(voxels), {count, options.depth, options.height, options.width, 1}, std::move(labels), info);
}

}  // namespace

Split solids(const SolidsOptions& options) {
  const auto refuse = [&](const std::string& message) { fail<ArgumentError>(options.where, "solids", message); };
  if (std::min({options.depth, options.height, options.width}) < 8)
    refuse(fmt::format("depth, height and width must be 8 or more; they are {}, {} and {}", options.depth,
                       options.height, options.width));
  if (options.train < 0 || options.test < 0)
    refuse(fmt::format("there cannot be {} and {} examples", options.train, options.test));
  if (!(options.noise >= 0 && options.noise <= 1))
    refuse(fmt::format("noise must be in [0, 1]; it is {}", options.noise));
  static_cast<void>(Shape{std::max(options.train, options.test), options.depth, options.height, options.width});
  std::vector<std::uint8_t> train = draw_all(options, options.train, 0);
  const DatasetInfo info = info_of(train, options.where);
  return {dataset(std::move(train), options.train, options, info),
          dataset(draw_all(options, options.test, kFirstTest), options.test, options, info)};
}

}  // namespace tapestry::data
