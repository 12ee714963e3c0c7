#include "io/npy_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "autodiff/text.h"
#include "kernels/error.h"

namespace tapestry::io {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::function<void(const std::string&)>& refuse) : text_(text), refuse_(refuse) {}

  NpyHeader read() {
    expect('{');
    while (!take('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr")
        once(descr_, key) = descr();
      else if (key == "fortran_order")
        once(fortran_, key) = boolean();
      else if (key == "shape")
        once(shape_, key) = shape();
      else
        fail(fmt::format("unknown key '{}' in its header", printable(key)));
      if (take('}')) break;
      expect(',');
    }
    if (text_.find_first_not_of(' ', at_) != text_.size() - 1 || text_.back() != '\n')
      fail("its header must end with one newline after the dictionary");
    if (!descr_ || !fortran_ || !shape_)
      fail(fmt::format("'{}' is missing in its header", !descr_ ? "descr" : !fortran_ ? "fortran_order" : "shape"));
    if (*fortran_ && shape_->rank() > 1) fail("is in Fortran order; save numpy.ascontiguousarray(...) of it");
    return {*descr_, *shape_};
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    refuse_(message);
    throw FileError(message);  // refuse_ has thrown
  }

  template <class T>
  std::optional<T>& once(std::optional<T>& value, std::string_view key) const {
    if (value) fail(fmt::format("the key '{}' appears twice in its header", key));
    return value;
  }

  char next() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char wanted) {
    if (next() != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted))
      fail(fmt::format("its header is no dictionary of NumPy's: '{}' expected at character {}", wanted, at_));
  }

  std::string_view quoted() {
    const char quote = next();
    if (quote != '\'' && quote != '"') expect('\'');
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == text_.npos)
      fail(fmt::format("its header is no dictionary of NumPy's: the text at character {} has no end", at_));
    const std::string_view word = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return word;
  }

  NpyType descr() {
    if (next() == '[') fail("holds records of several fields, which are not read");
    const std::string_view word = quoted();
    constexpr std::pair<std::string_view, NpyType> kTypes[] = {
        {"<f4", NpyType::float32}, {"<f8", NpyType::float64}, {"<i8", NpyType::int64}, {"<i4", NpyType::int32}};
    for (const auto& [name, type] : kTypes)
      if (word == name) return type;
    const std::string shown = printable(word.substr(0, 40));
    if (word.find('O') != word.npos) fail(fmt::format("holds Python objects ('{}'), which are never loaded", shown));
    if (word.starts_with('>')) fail(fmt::format("is big-endian ('{}'); save it with a little-endian dtype", shown));
    fail(fmt::format("has dtype '{}'; '<f4', '<f8', '<i8' and '<i4' are read", shown));
  }

  bool boolean() {
    next();
    for (const std::string_view word : {"True", "False"})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    fail("fortran_order must be True or False");
  }

  Shape shape() {
    expect('(');
    std::vector<std::int64_t> sizes;
    std::int64_t product = 1;
    bool comma = true;
    while (!take(')')) {
      if (!comma) expect(',');
      if (const char first = next(); first < '0' || first > '9')
        fail(fmt::format("its shape holds something other than sizes at character {}", at_));
      std::int64_t size = 0;
      const auto result = std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
      if (result.ec != std::errc{} || size > Shape::kMaxSize / product) fail("its shape has more than 2^46 elements");
      if (sizes.size() == Shape::kMaxRank) fail(fmt::format("has more than {} axes", Shape::kMaxRank));
      at_ = static_cast<std::size_t>(result.ptr - text_.data());
      product *= std::max<std::int64_t>(size, 1);
      sizes.push_back(size);
      comma = take(',');
    }
    if (sizes.size() == 1 && !comma) fail("its shape is a number, not a tuple");
    return Shape(sizes);
  }

  std::string_view text_;
  const std::function<void(const std::string&)>& refuse_;
  std::size_t at_ = 0;
  std::optional<NpyType> descr_;
  std::optional<bool> fortran_;
  std::optional<Shape> shape_;
};

}  // namespace

NpyHeader parse_npy_header(std::string_view text, const std::function<void(const std::string&)>& refuse) {
  return Reader(text, refuse).read();
}

}  // namespace tapestry::io
