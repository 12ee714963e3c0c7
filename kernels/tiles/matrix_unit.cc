#include "kernels/matrix_unit.h"

#include "kernels/tiles/tiles.h"

namespace tapestry::kernels {
namespace {

constexpr MatrixUnit kFma{.name = "fma",
                          .matmul = fma::matmul,
                          .conv_forward = fma::conv_forward,
                          .conv_backward_data = fma::conv_backward_data,
                          .conv_backward_weights = fma::conv_backward_weights};
constexpr std::size_t kLeastProducts = 256 * 1024;  // below it, packing and the start of tasks cost too much

std::size_t terms_at(Precision precision) {
  return precision == Precision::highest ? 3 : precision == Precision::high ? 2 : 1;
}

}  // namespace

MatrixUnit tile_unit(const TileExecutor& executor, Precision precision, std::size_t least_products) {
  return {.name = executor.name,
          .matmul = tiles::matmul,
          .conv_forward = tiles::conv_forward,
          .conv_backward_data = tiles::conv_backward_data,
          .conv_backward_weights = tiles::conv_backward_weights,
          .executor = &executor,
          .terms = terms_at(precision),
          .least_products = least_products};
}

void tell_tiles(const Device& device, std::string_view form, std::size_t tiles, std::size_t multiply_adds) {
  if (device.meter == nullptr) return;
  const MatrixUnit& unit = *device.unit;
  device.meter->add(
      {.form = form, .rows = unit.executor->rows, .columns = tiles * kTileColumns, .unit = unit.executor->name},
      multiply_adds);
}

const MatrixUnit& matrix_unit(Target target, Precision precision) {
  if (target == Target::amx && amx_tiles() != nullptr) {
    static const MatrixUnit kAmx[] = {tile_unit(*amx_tiles(), Precision::highest, kLeastProducts),
                                      tile_unit(*amx_tiles(), Precision::high, kLeastProducts),
                                      tile_unit(*amx_tiles(), Precision::medium, kLeastProducts)};
    return kAmx[3 - terms_at(precision)];
  }
  // Beside multiply-adds of 16 floats, those of 32 bf16 are twice as fast: that pays for one product, not for three.
  if (target == Target::avx3 && precision == Precision::medium && avx512_bf16_tiles() != nullptr) {
    static const MatrixUnit kBf16 = tile_unit(*avx512_bf16_tiles(), Precision::medium, kLeastProducts);
    return kBf16;
  }
  return kFma;
}

}  // namespace tapestry::kernels
