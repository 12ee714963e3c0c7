#include "io/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "autodiff/text.h"
#include "io/file.h"

namespace tapestry::io {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kMetadata = "__metadata__";

// What the header says about one tensor, as far as it was read.
struct Draft {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<std::vector<std::uint64_t>> shape, offsets;
};

// Takes the header's JSON piece by piece, and accepts only the one form that a header has: an object of objects, whose
// values are strings or flat lists of whole numbers. So no nesting is ever stored or followed.
class HeaderReader {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}

  std::vector<Draft> drafts;
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) {
    if (place_ == Place::start) return go(Place::header);
    if (place_ != Place::entry_value) wrong("an object");
    return go(in_metadata() ? Place::metadata : Place::entry);
  }

  bool end_object() {
    place_ = place_ == Place::header ? Place::end : Place::header;
    return true;
  }

  bool key(std::string& text) {
    if (place_ == Place::header) {
      name_ = text;
      if (!names_.insert(text).second) fail("the name appears twice");
      if (!in_metadata()) drafts.push_back({text, {}, {}, {}});
      return go(Place::entry_value);
    }
    key_ = text;
    if (place_ == Place::metadata) {
      if (metadata.contains(text)) fail(fmt::format("the key '{}' appears twice", printable(text)));
      return go(Place::metadata_value);
    }
    const Draft& draft = drafts.back();
    if (text != "dtype" && text != "shape" && text != "data_offsets")
      fail(fmt::format("unknown key '{}'", printable(text)));
    if (text == "dtype"   ? draft.dtype.has_value()
        : text == "shape" ? draft.shape.has_value()
                          : draft.offsets.has_value())
      fail(fmt::format("the key '{}' appears twice", text));
    return go(Place::field);
  }

  bool start_array(std::size_t) {
    if (place_ != Place::field || key_ == "dtype") wrong("a list");
    (key_ == "shape" ? drafts.back().shape : drafts.back().offsets).emplace();
    return go(Place::list);
  }
  bool end_array() { return go(Place::entry); }

  bool string(std::string& text) {
    if (place_ == Place::metadata_value) {
      metadata.emplace(key_, text);
      return go(Place::metadata);
    }
    if (place_ != Place::field || key_ != "dtype") wrong("a string");
    drafts.back().dtype = text;
    return go(Place::entry);
  }

  bool number_unsigned(std::uint64_t value) {
    if (place_ != Place::list) wrong(fmt::format("the number {}", value));
    std::vector<std::uint64_t>& list = *(key_ == "shape" ? drafts.back().shape : drafts.back().offsets);
    const std::size_t most = key_ == "shape" ? Shape::kMaxRank : 2;
    if (list.size() == most)
      fail(key_ == "shape" ? fmt::format("has more than {} axes", most) : "data_offsets must be two numbers");
    list.push_back(value);
    return true;
  }
  bool number_integer(std::int64_t value) { wrong(fmt::format("the negative number {}", value)); }
  bool number_float(double, const std::string& text) {
    wrong(fmt::format("{}, which is no whole number below 2^64", printable(text.substr(0, 40))));
  }
  bool null() { wrong("null"); }
  bool boolean(bool value) { wrong(value ? "true" : "false"); }
  bool binary(Json::binary_t&) { wrong("binary data"); }

  bool parse_error(std::size_t position, const std::string&, const Json::exception& error) {
    std::string_view message = error.what();  // "[json.exception.parse_error.101] parse error at ...: what is wrong"
    for (std::string_view end : {"] ", "column "}) {
      if (const std::size_t at = message.find(end); at != message.npos) message.remove_prefix(at + end.size());
    }
    if (const std::size_t colon = message.find(": "); colon < 10) message.remove_prefix(colon + 2);
    fail_file(path_, fmt::format("byte {}: the header is not valid JSON: {}", 7 + position,
                                 printable(message.substr(0, 200))));
  }

 private:
  enum class Place { start, header, entry_value, entry, field, list, metadata, metadata_value, end };

  bool go(Place place) {
    place_ = place;
    return true;
  }
  bool in_metadata() const { return name_ == kMetadata; }

  [[noreturn]] void fail(std::string_view message) const {
    fail_file(path_, in_metadata() ? fmt::format("{}: {}", kMetadata, message)
                                   : fmt::format("tensor '{}': {}", printable(name_), message));
  }
  // The JSON is fine, but `found` is not what stands here.
  [[noreturn]] void wrong(std::string_view found) const {
    if (place_ == Place::start) fail_file(path_, fmt::format("byte 8: the header must be an object, found {}", found));
    if (in_metadata() && place_ == Place::entry_value)
      fail(fmt::format("must be an object of strings, found {}", found));
    if (place_ == Place::metadata_value) fail(fmt::format("'{}' must be a string, found {}", printable(key_), found));
    if (place_ == Place::entry_value) fail(fmt::format("must be an object, found {}", found));
    const char* rule = key_ == "dtype" ? "a string" : key_ == "shape" ? "a list of whole numbers" : "two numbers";
    fail(fmt::format("{} must be {}, found {}", key_, rule, found));
  }

  const std::string& path_;
  Place place_ = Place::start;
  std::string name_, key_;
  std::set<std::string> names_;
};

// Turns drafts into entries.
class EntryChecker {
 public:
  EntryChecker(const std::string& path, std::uint64_t data_bytes) : path_(path), data_bytes_(data_bytes) {}

  SafetensorsEntry check(const Draft& draft) const {
    if (!draft.dtype) fail(draft.name, "dtype is missing");
    if (!draft.shape) fail(draft.name, "shape is missing");
    if (!draft.offsets) fail(draft.name, "data_offsets is missing");
    if (draft.offsets->size() != 2) fail(draft.name, "data_offsets must be two numbers");
    SafetensorsEntry entry{draft.name, dtype(draft), {}, (*draft.offsets)[0], (*draft.offsets)[1]};
    entry.shape = shape(draft);
    if (entry.end < entry.begin)
      fail(draft.name, fmt::format("data_offsets run backwards, from {} to {}", entry.begin, entry.end));
    if (entry.end > data_bytes_)
      fail(draft.name, fmt::format("its data end at {}, the file's at {}; the file is truncated or damaged", entry.end,
                                   data_bytes_));
    const std::uint64_t needed = static_cast<std::uint64_t>(entry.shape.size()) * dtype_bytes(entry.dtype);
    if (entry.end - entry.begin != needed)
      fail(draft.name, fmt::format("{} {} needs {} bytes, data_offsets give {}", *draft.dtype, to_string(entry.shape),
                                   needed, entry.end - entry.begin));
    return entry;
  }

  // Sorts them and proves that they fill the data.
  void check_places(std::vector<SafetensorsEntry>& entries) const {
    std::ranges::stable_sort(entries, {},
                             [](const SafetensorsEntry& entry) { return std::pair(entry.begin, entry.end); });
    std::uint64_t next = 0;
    for (const SafetensorsEntry& entry : entries) {
      if (entry.begin < next)
        fail(entry.name,
             fmt::format("its data, from {} on, overlap those of another tensor, which end at {}", entry.begin, next));
      if (entry.begin > next)
        fail(entry.name,
             fmt::format("its data start at {}; bytes {} to {} belong to no tensor", entry.begin, next, entry.begin));
      next = entry.end;
    }
    if (next != data_bytes_)
      fail_file(path_, fmt::format("the tensors end at byte {} of the data, but {} more bytes follow", next,
                                   data_bytes_ - next));
  }

 private:
  [[noreturn]] void fail(const std::string& name, std::string_view message) const {
    fail_file(path_, fmt::format("tensor '{}': {}", printable(name), message));
  }

  DType dtype(const Draft& draft) const {
    static constexpr std::string_view kKnown[] = {"BOOL",    "U8",      "I8",  "I16",     "U16",    "I32",
                                                  "U32",     "U64",     "F16", "BF16",    "C64",    "F8_E5M2",
                                                  "F8_E4M3", "F8_E8M0", "F4",  "F6_E2M3", "F6_E3M2"};
    for (DType dtype : {DType::float32, DType::float64, DType::int64})
      if (*draft.dtype == safetensors_dtype(dtype)) return dtype;
    const bool known = std::ranges::find(kKnown, *draft.dtype) != std::ranges::end(kKnown);
    fail(draft.name, fmt::format("{} '{}'; F32, F64 and I64 can be held", known ? "has dtype" : "has the unknown dtype",
                                 printable(draft.dtype->substr(0, 40))));
  }

  Shape shape(const Draft& draft) const {
    constexpr auto kMost = static_cast<std::uint64_t>(Shape::kMaxSize);
    std::vector<std::int64_t> sizes;
    std::uint64_t product = 1;
    for (std::uint64_t size : *draft.shape) {
      if (size > kMost / product)
        fail(draft.name, fmt::format("its shape [{}] has more than 2^46 elements", fmt::join(*draft.shape, ", ")));
      product *= std::max<std::uint64_t>(size, 1);
      sizes.push_back(static_cast<std::int64_t>(size));
    }
    return Shape(sizes);
  }

  const std::string& path_;
  std::uint64_t data_bytes_;
};

}  // namespace

std::string_view safetensors_dtype(DType dtype) {
  return dtype == DType::float32 ? "F32" : dtype == DType::float64 ? "F64" : "I64";
}

SafetensorsHeader parse_safetensors_header(const std::string& path, std::string_view text, std::uint64_t data_bytes) {
  if (text.empty() || text[0] != '{') fail_file(path, "byte 8: the header must begin with '{'");
  text = text.substr(0, text.find_last_not_of(' ') + 1);        // which may fill up the header
  if (const std::size_t at = text.find('\0'); at != text.npos)  // where the JSON parser would stop
    fail_file(path, fmt::format("byte {}: the header is not valid JSON: it holds a NUL byte", 8 + at));
  HeaderReader reader(path);
  Json::sax_parse(text.begin(), text.end(), &reader);
  const EntryChecker checker(path, data_bytes);
  SafetensorsHeader header{{}, std::move(reader.metadata)};
  header.entries.reserve(reader.drafts.size());
  for (const Draft& draft : reader.drafts) header.entries.push_back(checker.check(draft));
  checker.check_places(header.entries);
  return header;
}

}  // namespace tapestry::io
