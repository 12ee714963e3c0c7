// NumPy's files: .npy with one array, .npz with several under their names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "autodiff/context.h"

namespace tapestry::io {

struct NpzOptions {
  std::uint64_t max_bytes = std::uint64_t{16} << 30;  // of all arrays together, unpacked
};

// One array: float32, float64, int64 or int32 (which becomes int64), little-endian, in C order, at most 6 axes.
// FileError, which says what is wrong and where, for anything else; objects are never loaded, text is never evaluated,
// and no memory is taken before header and size agree. Format: numpy.lib.format, versions 1.0 to 3.0.
Tensor load_npy(const Context& context, const std::string& path);

// All arrays of numpy.savez or savez_compressed, without the ".npy" of their members; see also zip_members().
std::vector<NamedTensor> load_npz(const Context& context, const std::string& path, NpzOptions options = {});

}  // namespace tapestry::io
