// Between the layouts of tensors in memory (channels last) and in files (PyTorch's).
#pragma once

#include "autodiff/parameter.h"

namespace tapestry::io {

// The shape in files of what has `shape` in memory.
Shape file_shape(const Shape& shape, FileLayout layout);
// The elements in the order of the file; the same handle where both agree. `flattened` is the shape that axis 0 had
// before a Flatten, such as [H, W, C] (the file has C, H, W); empty where there was none.
Tensor to_file(const Tensor& tensor, FileLayout layout, const Shape& flattened = {});
// The other way round: `shape` is the one in memory, and tensor.shape() is file_shape(shape, layout).
Tensor from_file(const Tensor& tensor, const Shape& shape, FileLayout layout, const Shape& flattened = {});

// Images and volumes of files that hold them as [N, C, ...]: they become [N, ..., C].
Tensor channels_last(const Tensor& tensor);

}  // namespace tapestry::io
