// The kernels as loops that one writes at first, for the compiler to vectorize: TAPESTRY_FORM is plain_loops, or
// plain_fast_math with -ffast-math, and TAPESTRY_ARCH names the flags.
#include <cmath>

#include "bench/libraries/kernel.h"

namespace tapestry::bench::TAPESTRY_FORM::TAPESTRY_ARCH {
namespace {

float relu_of(float x) { return x > 0 ? x : 0; }

void exp(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) a.out[i] = std::exp(a.x[i]);
}
void log(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) a.out[i] = std::log(a.x[i]);
}
void sqrt(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) a.out[i] = std::sqrt(a.x[i]);
}
void tanh(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) a.out[i] = std::tanh(a.x[i]);
}
void erf(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) a.out[i] = std::erf(a.x[i]);
}
void sigmoid(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) a.out[i] = 1 / (1 + std::exp(-a.x[i]));
}
void relu(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) a.out[i] = relu_of(a.x[i]);
}
void silu(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) a.out[i] = a.x[i] / (1 + std::exp(-a.x[i]));
}
void softplus(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) a.out[i] = relu_of(a.x[i]) + std::log1p(std::exp(-std::abs(a.x[i])));
}
void gelu(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) a.out[i] = 0.5f * a.x[i] * std::erfc(-0.70710678f * a.x[i]);
}
void sum(const Arrays& a, std::size_t size) {
  float sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum += a.x[i];
  a.out[0] = sum;
}
void dot(const Arrays& a, std::size_t size) {
  float sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum += a.x[i] * a.y[i];
  a.out[0] = sum;
}
void axpy(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) a.out[i] += kFactor * a.x[i];
}

void softmax(const Arrays& a, std::size_t size) {
  for (std::size_t row = 0; row < size; row += kColumns) {
    const std::size_t end = size - row < kColumns ? size : row + kColumns;
    float most = a.x[row], sum = 0;
    for (std::size_t i = row; i < end; ++i) most = a.x[i] > most ? a.x[i] : most;
    for (std::size_t i = row; i < end; ++i) sum += a.out[i] = std::exp(a.x[i] - most);
    const float factor = 1 / sum;
    for (std::size_t i = row; i < end; ++i) a.out[i] *= factor;
  }
}

void adam(const Arrays& a, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    a.mean[i] += kTakeMean * (a.x[i] - a.mean[i]);
    a.square[i] += kTakeSquare * (a.x[i] * a.x[i] - a.square[i]);
    a.out[i] -= kRate * a.mean[i] / (kRoot * std::sqrt(a.square[i]) + kEps);
  }
}

}  // namespace

Function find(Kernel kernel) {
  static constexpr Function all[] = {exp,      log,  sqrt, tanh, erf,  sigmoid, relu, silu,
                                     softplus, gelu, sum,  dot,  axpy, softmax, adam};
  return all[static_cast<int>(kernel)];
}

}  // namespace tapestry::bench::TAPESTRY_FORM::TAPESTRY_ARCH
