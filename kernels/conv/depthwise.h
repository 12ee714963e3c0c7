// Convolutions whose groups have one input channel each: vectors run over channels. Not part of the public interface.
#pragma once

#include "kernels/conv/correlation.h"
#include "kernels/device.h"

namespace tapestry::kernels {

// The same convolution with a channel of x for each output: spread_channels(x) is its x.
inline ConvDims with_spread_channels(ConvDims d) {
  d.in_channels = d.groups = d.out_channels;
  return d;
}

// x [pixels, C] with each channel O/C times, [pixels, O], in a block of the arena.
Block spread_channels(const Device&, const ConvDims&, const float* x);

// conv_forward and conv_backward_data of kernels/conv.h, where is_depthwise(dims).
void depthwise_forward(const Device&, const ConvDims&, const float* x, const float* weight, const float* bias,
                       float* y);
void depthwise_backward_data(const Device&, const ConvDims&, const float* weight, const float* dy, float* dx);
// conv_backward_weights without that of the bias; dweight is added to.
void depthwise_backward_weights(const Device&, const ConvDims&, const float* x, const float* dy, float* dweight);

// Neighbouring outputs [begin, end) of a line that have the same taps inside x.
struct LinePiece {
  std::size_t begin, end;
  TapRange taps;
};

// Where a row of taps, along the last axis, lies in x and in the weight.
struct DepthwiseRow {
  std::size_t x, weight;
};

// Taps along the last axis for which register tiles take all of a row at once.
constexpr std::size_t kDepthwiseRow = 3;

// What all tasks share; the pieces are those of any line.
struct DepthwiseJob {
  const Correlation& c;
  const float *x, *weight, *bias;
  float* y;
  const LinePiece* pieces;
  std::size_t piece_count;
  bool rows;  // an input is taken for all taps of a row at once, in one piece
};

// What all blocks of the weight's gradient share.
struct DepthwiseWeightsJob {
  Correlation c;  // forward
  const float *x, *dy;
};
// Pixels of a block, at most, and floats of dy, unless a line has more: 128 KiB, and as much of x, stay in L2 while all
// taps run over them.
constexpr std::size_t kDepthwiseBlock = 256, kDepthwiseFloats = 32 * 1024;

// A line of y, and where the first tap of some rows of taps finds x for its first pixel; `rows` of them lie inside x.
struct DepthwiseWeightsLine {
  const float *x, *dy;
  TapRange rows;
};

}  // namespace tapestry::kernels
