// The safetensors format: named tensors behind a JSON header. https://github.com/huggingface/safetensors
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/context.h"

namespace tapestry::io {

struct Safetensors {
  std::vector<NamedTensor> tensors;  // in the order of their data
  std::map<std::string, std::string> metadata;

  const Tensor* find(std::string_view name) const;  // nullptr when there is none
};

// Reads a whole file: F32, F64 and I64, at most 6 axes. Strict: FileError, which names path and byte or tensor, for
// anything that the format does not allow: among others a header that is not JSON or longer than 100 MB, a name or key
// twice, unknown keys, sizes that do not match, data that overlap, leave a hole or do not end with the file.
// No memory is taken for tensors before all of that is checked.
Safetensors load_safetensors(const Context& context, const std::string& path);

// Writes the tensors, sorted by their element size and otherwise in the given order, in one atomic step (OutputFile).
// ArgumentError for a name twice, the name __metadata__, text that is not UTF-8 or a tensor that holds nothing.
void save_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace tapestry::io
