#include "kernels/matmul.h"

#include "kernels/matrix_unit.h"

namespace tapestry::kernels {
namespace {

void plain(const Device&, const MatmulDims& dims, const float* a, const float* b, const float* bias, float* c) {
  const std::size_t last = dims.batch - 1;
  reference::matmul<float>(dims, {a, last * dims.stride_a + dims.m * dims.k}, {b, last * dims.stride_b + dims.k * dims.n},
                           {bias, bias == nullptr ? 0 : dims.n}, {c, last * dims.stride_c + dims.m * dims.n});
}

constexpr MatrixUnit kPlain{"plain", plain};

}  // namespace

const MatrixUnit& matrix_unit(Target, Precision) { return kPlain; }

void matmul(const Device& device, const MatmulDims& dims, std::span<const float> a, std::span<const float> b,
            std::span<const float> bias, std::span<float> c) {
  if (dims.batch * dims.m * dims.n == 0) return;
  device.unit->matmul(device, dims, a.data(), b.data(), bias.empty() ? nullptr : bias.data(), c.data());
}

}  // namespace tapestry::kernels
