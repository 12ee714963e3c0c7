#include "io/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "autodiff/text.h"
#include "kernels/error.h"

namespace tapestry::io {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail_system(const std::string& path, std::string_view action, int error) {
  throw EnvironmentError(fmt::format("{}: cannot {}: {}", printable(path), action, reason(error)));
}

constexpr std::size_t kMost = std::size_t{1} << 30;  // at once: the system takes no more than 2 GiB

// A path cannot hold a NUL: the system would see another one.
const std::string& checked(const std::string& path) {
  if (path.empty()) throw FileError("the path of a file is empty");
  if (path.find('\0') != path.npos) fail_file(path, "a path must not hold a NUL byte");
  return path;
}

// Where to write: `path`, or what it points to.
std::string resolved(const std::string& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return path;
    fail_system(path, "write", errno);
  }
  if (S_ISLNK(status.st_mode)) {
    const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), &std::free);
    if (real == nullptr) fail_file(path, fmt::format("is a symbolic link that leads nowhere: {}", reason(errno)));
    return resolved(real.get());
  }
  if (!S_ISREG(status.st_mode)) fail_file(path, S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file");
  return path;
}

}  // namespace

void fail_file(const std::string& path, std::string_view message) {
  throw FileError(fmt::format("{}: {}", printable(path), message));
}

InputFile::InputFile(std::string path) : path_(std::move(path)) {
  descriptor_ = open(checked(path_).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // does not wait for a FIFO's writer
  if (descriptor_ < 0) {
    const int error = errno;
    if (error == EIO || error == EMFILE || error == ENFILE || error == ENOMEM) fail_system(path_, "open", error);
    fail_file(path_, reason(error));
  }
  struct stat status;
  const int result = fstat(descriptor_, &status);
  if (result == 0 && S_ISREG(status.st_mode)) {
    size_ = static_cast<std::uint64_t>(status.st_size);
    return;
  }
  const int error = errno;
  close(descriptor_);
  if (result != 0) fail_system(path_, "open", error);
  fail_file(path_, S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file");
}

InputFile::~InputFile() { close(descriptor_); }

void InputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset)
    fail_file(path_, fmt::format("byte {}: {} bytes are missing; the file is truncated", size_,
                                 out.size() - (size_ - std::min(offset, size_))));
  while (!out.empty()) {
    const ssize_t count = pread(descriptor_, out.data(), std::min(out.size(), kMost), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_system(path_, "read", errno);
    if (count == 0) fail_file(path_, fmt::format("byte {}: the file was truncated while it was read", offset));
    offset += static_cast<std::uint64_t>(count);
    out = out.subspan(static_cast<std::size_t>(count));
  }
}

OutputFile::OutputFile(std::string path) : path_(std::move(path)), target_(resolved(checked(path_))) {
  const std::size_t slash = target_.rfind('/');
  folder_ = slash == target_.npos ? "." : slash == 0 ? "/" : target_.substr(0, slash);
  for (int attempt = 0; descriptor_ < 0; ++attempt) {
    // Its length does not depend on the target's name, which may be as long as names can be.
    temporary_ = fmt::format("{}/.tapestry-{}-{}.tmp", folder_, getpid(), attempt);
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno == ENOENT)
      fail_file(path_, fmt::format("there is no directory '{}'", printable(folder_)));
    if (descriptor_ < 0 && (errno != EEXIST || attempt == 10000)) fail_system(path_, "write", errno);
  }
  struct stat status;
  if (stat(target_.c_str(), &status) == 0 && fchmod(descriptor_, status.st_mode & 07777) != 0) {
    const int error = errno;
    close(descriptor_);
    unlink(temporary_.c_str());
    fail_system(path_, "keep the permissions", error);
  }
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void OutputFile::fail(std::string_view action) const { fail_system(path_, action, errno); }

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kMost));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("write");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void OutputFile::commit() {
  if (fsync(descriptor_) != 0) fail("bring to the disk");
  if (close(std::exchange(descriptor_, -1)) != 0) fail("close");
  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail("replace");
  temporary_.clear();
  const int folder = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = folder >= 0 && (fsync(folder) == 0 || errno == EINVAL || errno == EROFS);
  const int error = errno;
  if (folder >= 0) close(folder);
  if (!synced) fail_system(path_, "bring the directory to the disk", error);
}

}  // namespace tapestry::io
