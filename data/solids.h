// Volumes that are drawn, not downloaded: ten kinds of solids, turned, moved, scaled and covered with noise.
#pragma once

#include "data/dataset.h"

namespace tapestry::data {

struct SolidsOptions {
  std::int64_t train = 4000, test = 1000;            // how many
  std::int64_t depth = 16, height = 28, width = 28;  // voxels, 8 or more each
  double noise = 0.3;                                // largest change of a voxel, of full brightness
  std::uint64_t seed = 0;
  Location where = std::source_location::current();
};

// Examples [D, H, W, 1] as bytes, of the classes ball, cube, cylinder, cone, torus, pyramid, octahedron, capsule, cross
// and half ball. Example i is of class i % 10; its rotation (uniform over all, Shoemake 1992), its place, its size (0.7
// to 1 of what fits), its brightness and its noise (triangular) are functions of the seed and i alone, so that fewer
// examples are a part of more. Test examples have numbers of their own. ArgumentError for sizes below 8, negative
// counts and noise outside [0, 1].
Split solids(const SolidsOptions& options = {});

}  // namespace tapestry::data
