#include "train/history.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include "autodiff/text.h"
#include "io/file.h"
#include "kernels/error.h"

namespace tapestry::train {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_write(const std::string& path, std::string_view reason) {
  throw EnvironmentError(fmt::format("{}: cannot be written: {}", printable(path), reason));
}

fs::path make_folder(const std::string& path) {
  fs::path folder = fs::path(path).parent_path();
  if (folder.empty()) folder = ".";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail_write(path, error.message());
  return folder;
}

}  // namespace

void require_writable(const std::string& path) {
  make_folder(path);
  std::error_code error;
  if (fs::is_directory(path, error)) fail_write(path, "it is a folder");
  try {
    const io::OutputFile probe(path);  // opens what a save would open, and leaves nothing behind
  } catch (const FileError& refused) {
    throw EnvironmentError(refused.what());
  }
}

History::History(const std::string& path) : path_(path) {
  make_folder(path);
  file_ = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
  if (file_ < 0) fail_write(path, std::strerror(errno));
  if (file_ < 3) {  // a standard stream was closed: what is printed there must not end up in the history
    const int low = std::exchange(file_, fcntl(file_, F_DUPFD_CLOEXEC, 3));
    close(low);
    if (file_ < 0) fail_write(path, std::strerror(errno));
  }
  int error = 0;
  if (flock(file_, LOCK_EX | LOCK_NB) != 0)
    error = errno;
  else if (ftruncate(file_, 0) != 0 && errno != EINVAL)  // a device has no length
    error = errno;
  if (error == 0) return;
  close(file_);
  fail_write(path, error == EWOULDBLOCK ? "another run writes there" : std::strerror(error));
}

History::~History() {
  if (file_ >= 0) close(file_);
}

void History::write(const HistoryEntry& entry) {
  if (file_ < 0) return;
  std::array<char, 512> line{};
  // JSON has no NaN and no infinity.
  std::array<char, 32> loss_text{};
  const auto loss_end = fmt::format_to_n(loss_text.data(), loss_text.size(), "{:.7g}", entry.loss);
  const std::string_view loss =
      std::isfinite(entry.loss) ? std::string_view(loss_text.data(), loss_end.size) : std::string_view("null");
  const auto result = fmt::format_to_n(
      line.data(), line.size(),
      "{{\"step\":{},\"epoch\":{},\"split\":\"{}\",\"loss\":{},\"acc\":{:.7g},\"lr\":{:.7g},\"img_s\":{:.1f},"
      "\"wall_s\":{:.3f}}}\n",
      entry.step, entry.epoch, entry.split, loss, entry.accuracy, entry.lr, entry.images_per_second, entry.seconds);
  std::string_view text(line.data(), std::min(result.size, line.size()));
  while (!text.empty()) {
    const ssize_t written = ::write(file_, text.data(), text.size());
    if (written < 0 && errno != EINTR) fail_write(path_, std::strerror(errno));
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace tapestry::train
