// Between the layouts of tensors in memory (channels last) and in files (PyTorch's).
#pragma once

#include "autodiff/parameter.h"

namespace tapestry::io {

// The shape in files of what has `shape` in memory.
Shape file_shape(const Shape& shape, FileLayout layout);
// The elements in the order of the file; the same handle where both agree.
Tensor to_file(const Tensor& tensor, FileLayout layout);
// The other way round: `shape` is the one in memory, and tensor.shape() is file_shape(shape, layout).
Tensor from_file(const Tensor& tensor, const Shape& shape, FileLayout layout);

}  // namespace tapestry::io
