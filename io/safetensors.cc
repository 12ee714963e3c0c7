#include "io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <set>

#include "autodiff/text.h"
#include "io/file.h"
#include "io/safetensors_header.h"
#include "kernels/error.h"

namespace tapestry::io {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers go to the file as they lie in memory");

constexpr std::uint64_t kLengthBytes = 8;

std::string quoted(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw ArgumentError(fmt::format("safetensors: '{}' is not UTF-8", printable(text)));
  }
}

void check_entries(std::span<const NamedTensor> tensors) {
  std::set<std::string_view> names;
  for (const NamedTensor& entry : tensors) {
    const std::string shown = printable(entry.name);
    if (entry.name == "__metadata__") throw ArgumentError("safetensors: no tensor can be called '__metadata__'");
    if (!entry.value) throw ArgumentError(fmt::format("safetensors: tensor '{}' holds nothing", shown));
    if (!names.insert(entry.name).second)
      throw ArgumentError(fmt::format("safetensors: the name '{}' appears twice", shown));
  }
}

std::string header_text(std::span<const NamedTensor* const> order, const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  const auto comma = [&] { return text.size() == 1 ? "" : ","; };
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata)
      text += fmt::format("{}{}:{}", text.back() == '{' ? "" : ",", quoted(key), quoted(value));
    text += "}";
  }
  std::uint64_t begin = 0;
  for (const NamedTensor* entry : order) {
    const std::uint64_t end = begin + entry->value.bytes();
    text +=
        fmt::format(R"({}{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", comma(), quoted(entry->name),
                    safetensors_dtype(entry->value.dtype()), fmt::join(entry->value.shape().sizes(), ","), begin, end);
    begin = end;
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the data are aligned
  if (text.size() > kLongestSafetensorsHeader)
    throw ArgumentError(fmt::format("safetensors: the header would have {} bytes, readers take {}", text.size(),
                                    kLongestSafetensorsHeader));
  return text;
}

}  // namespace

const Tensor* Safetensors::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &NamedTensor::name);
  return found == tensors.end() ? nullptr : &found->value;
}

Safetensors load_safetensors(const Context& context, const std::string& path) {
  const InputFile file(path);
  if (file.size() < kLengthBytes)
    fail_file(path, fmt::format("byte {}: too short for a safetensors file, which starts with 8 bytes of length",
                                file.size()));
  std::uint64_t length = 0;
  file.read(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kLongestSafetensorsHeader)
    fail_file(path, fmt::format("byte 0: a header of {} bytes is more than the {} allowed; is it a safetensors file?",
                                length, kLongestSafetensorsHeader));
  if (length > file.size() - kLengthBytes)
    fail_file(path,
              fmt::format("byte 0: a header of {} bytes does not fit the file's {}; the file is truncated or damaged",
                          length, file.size()));
  std::string text(static_cast<std::size_t>(length), '\0');
  file.read(kLengthBytes, std::as_writable_bytes(std::span(text)));
  const std::uint64_t data = kLengthBytes + length;
  SafetensorsHeader header = parse_safetensors_header(path, text, file.size() - data);

  Safetensors result{{}, std::move(header.metadata)};
  result.tensors.reserve(header.entries.size());
  for (SafetensorsEntry& entry : header.entries) {
    Tensor tensor = context.empty(entry.shape, entry.dtype);
    file.read(data + entry.begin, {tensor.raw(), tensor.bytes()});
    result.tensors.push_back({std::move(entry.name), std::move(tensor)});
  }
  return result;
}

void save_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                      const std::map<std::string, std::string>& metadata) {
  check_entries(tensors);
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& entry : tensors) order.push_back(&entry);
  std::ranges::stable_sort(order, std::greater<>{},
                           [](const NamedTensor* entry) { return dtype_bytes(entry->value.dtype()); });
  const std::string text = header_text(order, metadata);
  const std::uint64_t length = text.size();
  OutputFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(std::as_bytes(std::span(text)));
  for (const NamedTensor* entry : order) file.write({entry->value.raw(), entry->value.bytes()});
  file.commit();
}

}  // namespace tapestry::io
