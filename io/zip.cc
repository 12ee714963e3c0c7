#include "io/zip.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <set>

#include "autodiff/text.h"

namespace tapestry::io {
namespace {

// Of the end record, a directory entry and a member's own header: the bytes before their names, and their marks.
constexpr std::uint64_t kEndBytes = 22, kLongestComment = 65535, kMemberBytes = 46, kLocalBytes = 30;
constexpr std::uint32_t kEndMark = 0x06054b50, kMemberMark = 0x02014b50, kLocalMark = 0x04034b50;
constexpr std::uint16_t kEncrypted = 1, kSizesFollow = 8;  // flags
constexpr std::uint64_t kElsewhere = 0xFFFFFFFF;           // the number is in the zip64 field
constexpr std::uint64_t kMostRatio = 1032;                 // of deflate, which can tell 258 bytes by two bits

// Little-endian numbers in a piece of the file.
class Fields {
 public:
  explicit Fields(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint64_t number(std::size_t offset, std::size_t bytes) const {
    std::uint64_t value = 0;
    for (std::size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<std::uint64_t>(bytes_[offset + i]);
    return value;
  }
  std::uint16_t u16(std::size_t offset) const { return static_cast<std::uint16_t>(number(offset, 2)); }
  std::uint32_t u32(std::size_t offset) const { return static_cast<std::uint32_t>(number(offset, 4)); }
  std::string text(std::size_t offset, std::size_t size) const {
    return std::string(reinterpret_cast<const char*>(bytes_.data()) + offset, size);
  }
  std::span<const std::byte> part(std::size_t offset, std::size_t size) const { return bytes_.subspan(offset, size); }
  std::size_t size() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
};

// Replaces those of `numbers` that are elsewhere by the ones in the zip64 extra field; false when they are not there.
bool resolve_zip64(const Fields& extra, std::span<std::uint64_t* const> numbers) {
  std::optional<Fields> field;
  for (std::size_t at = 0; at + 4 <= extra.size();) {
    const std::size_t size = extra.u16(at + 2);
    if (size > extra.size() - at - 4) return false;
    if (extra.u16(at) == 1 && !field) field = Fields(extra.part(at + 4, size));
    at += 4 + size;
  }
  std::size_t next = 0;
  for (std::uint64_t* number : numbers) {
    if (*number != kElsewhere) continue;
    if (!field || next + 8 > field->size()) return false;
    *number = field->number(next, 8);
    next += 8;
  }
  return true;
}

class Directory {
 public:
  explicit Directory(const InputFile& file) : file_(file) {}

  std::vector<ZipMember> read() {
    find_end();
    std::vector<std::byte> bytes(static_cast<std::size_t>(size_));
    file_.read(start_, bytes);
    std::vector<ZipMember> members;
    std::size_t at = 0;
    for (std::uint64_t i = 0; i < count_; ++i) {
      if (bytes.size() - at < kMemberBytes || Fields(bytes).u32(at) != kMemberMark)
        fail(fmt::format("byte {}: no directory entry where the {}th of {} must be", start_ + at, i + 1, count_));
      members.push_back(member(Fields(bytes), at));
    }
    if (at != bytes.size())
      fail(fmt::format("byte {}: the directory goes on after its {} entries", start_ + at, count_));
    check_overlap(members);
    return members;
  }

 private:
  struct Place {
    std::uint64_t begin, end;
    const std::string* name;
  };

  [[noreturn]] void fail(std::string_view message) const { fail_file(file_.path(), message); }
  [[noreturn]] void fail(const std::string& name, std::string_view message) const {
    fail(fmt::format("member '{}': {}", printable(name), message));
  }

  void find_end() {
    if (file_.size() < kEndBytes) fail(fmt::format("byte {}: too short for a zip file", file_.size()));
    const std::uint64_t tail = std::min(file_.size(), kEndBytes + kLongestComment);
    std::vector<std::byte> bytes(static_cast<std::size_t>(tail));
    file_.read(file_.size() - tail, bytes);
    const Fields fields{std::span<const std::byte>(bytes)};
    for (std::size_t at = bytes.size() - kEndBytes + 1; at-- > 0;) {
      if (fields.u32(at) != kEndMark || at + kEndBytes + fields.u16(at + 20) != bytes.size()) continue;
      const std::uint64_t end = file_.size() - tail + at;
      if (fields.u32(at + 4) != 0 || fields.u16(at + 8) != fields.u16(at + 10))
        fail(fmt::format("byte {}: a zip file in several parts", end));
      count_ = fields.u16(at + 10);
      size_ = fields.u32(at + 12);
      start_ = fields.u32(at + 16);
      if (count_ == 0xFFFF || size_ == kElsewhere || start_ == kElsewhere)
        fail("zip files of more than 4 GiB or 65534 members (zip64) are not read");
      if (start_ + size_ != end)
        fail(fmt::format("byte {}: the directory must lie at {} to {}; the file is damaged", end, start_,
                         start_ + size_));
      return;
    }
    fail(fmt::format("byte {}: no end of a zip file; it is truncated or no zip file", file_.size()));
  }

  // The entry at `at`, which moves on.
  ZipMember member(const Fields& all, std::size_t& at) {
    const Fields entry(all.part(at, kMemberBytes));
    const std::size_t name_size = entry.u16(28), extra_size = entry.u16(30), comment_size = entry.u16(32);
    if (name_size + extra_size + comment_size > all.size() - at - kMemberBytes)
      fail(fmt::format("byte {}: the directory ends within an entry", start_ + at));
    ZipMember member{all.text(at + kMemberBytes, name_size), 0, entry.u32(20), entry.u32(24), entry.u32(16), false};
    std::uint64_t local = entry.u32(42);
    check_name(member.name);
    const Fields extra(all.part(at + kMemberBytes + name_size, extra_size));
    std::uint64_t* const numbers[] = {&member.size, &member.packed, &local};
    if (!resolve_zip64(extra, numbers)) fail(member.name, "its zip64 sizes are missing");
    const std::uint16_t flags = entry.u16(8), method = entry.u16(10);
    if ((flags & kEncrypted) != 0) fail(member.name, "is encrypted");
    if (method != 0 && method != 8)
      fail(member.name, fmt::format("is packed by method {}; 0 (stored) and 8 (deflate) are read", method));
    if (entry.u16(34) != 0) fail(member.name, "lies in another part of the zip file");
    member.deflated = method == 8;
    check_sizes(member);
    check_local(member, local, flags, method);
    at += kMemberBytes + name_size + extra_size + comment_size;
    return member;
  }

  void check_name(const std::string& name) {
    if (name.empty() || name.find('\0') != name.npos) fail(name, "a name must not be empty or hold a NUL byte");
    if (name.front() == '/' || name.find('\\') != name.npos || ("/" + name + "/").find("/../") != std::string::npos)
      fail(name, "a name must not lead out of the file");
    if (!names_.insert(name).second) fail(name, "the name appears twice");
  }

  void check_sizes(const ZipMember& member) const {
    if (member.packed > file_.size())
      fail(member.name, fmt::format("its {} packed bytes are more than the file has", member.packed));
    if (!member.deflated && member.packed != member.size)
      fail(member.name, fmt::format("is stored, with {} bytes for {}", member.packed, member.size));
    if (member.deflated && member.size / kMostRatio > member.packed)
      fail(member.name, fmt::format("{} packed bytes cannot hold {}", member.packed, member.size));
  }

  void check_local(ZipMember& member, std::uint64_t local, std::uint16_t flags, std::uint16_t method) {
    if (local > start_ || start_ - local < kLocalBytes)
      fail(member.name, fmt::format("byte {}: its header lies outside the file", local));
    std::byte fixed[kLocalBytes];
    file_.read(local, fixed);
    const Fields header{std::span<const std::byte>(fixed)};
    const std::size_t name_size = header.u16(26), extra_size = header.u16(28);
    if (header.u32(0) != kLocalMark) fail(member.name, fmt::format("byte {}: its header is not there", local));
    if (name_size + extra_size > start_ - local - kLocalBytes)
      fail(member.name, fmt::format("byte {}: its header is cut", local));
    std::vector<std::byte> rest(name_size + extra_size);
    file_.read(local + kLocalBytes, rest);
    const Fields text{std::span<const std::byte>(rest)};
    std::uint64_t size = header.u32(22), packed = header.u32(18);
    std::uint64_t* const numbers[] = {&size, &packed};
    const bool known = resolve_zip64(Fields(text.part(name_size, extra_size)), numbers);
    const bool later = (flags & kSizesFollow) != 0;
    if (header.u16(6) != flags || header.u16(8) != method || text.text(0, name_size) != member.name ||
        (!later && (!known || header.u32(14) != member.crc || size != member.size || packed != member.packed)))
      fail(member.name, fmt::format("byte {}: its header differs from the directory", local));
    member.offset = local + kLocalBytes + name_size + extra_size;
    if (member.packed > start_ - member.offset)
      fail(member.name, fmt::format("byte {}: its data go beyond the directory", member.offset));
    places_.push_back({local, member.offset + member.packed, nullptr});
  }

  void check_overlap(const std::vector<ZipMember>& members) {
    for (std::size_t i = 0; i < members.size(); ++i) places_[i].name = &members[i].name;
    std::ranges::sort(places_, {}, &Place::begin);
    for (std::size_t i = 1; i < places_.size(); ++i)
      if (places_[i].begin < places_[i - 1].end)
        fail(*places_[i].name,
             fmt::format("byte {}: overlaps member '{}'", places_[i].begin, printable(*places_[i - 1].name)));
  }

  const InputFile& file_;
  std::uint64_t start_ = 0, size_ = 0, count_ = 0;
  std::set<std::string> names_;
  std::vector<Place> places_;
};

}  // namespace

std::vector<ZipMember> zip_members(const InputFile& file) { return Directory(file).read(); }

}  // namespace tapestry::io
