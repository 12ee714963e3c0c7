#include "train/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace tapestry::train {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kBarWidth = 24;

// What does not reach the reader is lost: a closed stderr must not end a training run.
void put(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    if (written < 0 && errno != EINTR) return;
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
}

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

std::size_t columns(int file) {
  winsize size{};
  return ioctl(file, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : 80;
}

struct Buffer {
  std::array<char, 512> text;
  std::size_t used = 0;

  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    const auto result = fmt::format_to_n(text.data() + used, text.size() - used, format, std::forward<Args>(args)...);
    used += std::min(result.size, text.size() - used);
  }
  std::string_view view() const { return {text.data(), used}; }
};

}  // namespace

Progress::Progress(bool active, int file) : active_(active), file_(file), last_(Clock::now()) {
  if (!active_) return;
  const char* term = std::getenv("TERM");
  terminal_ = isatty(file) != 0 && term != nullptr && std::string_view(term) != "dumb";
  colour_ = terminal_ && !is_set("NO_COLOR");
}

void Progress::update(const ProgressState& state) {
  if (!active_) return;
  const auto now = Clock::now();
  if (now - last_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10'000))) return;
  last_ = now;
  draw(state);
}

void Progress::draw(const ProgressState& state) {
  const double share = state.steps == 0 ? 1 : static_cast<double>(state.step) / static_cast<double>(state.steps);
  const int filled = std::clamp(static_cast<int>(share * kBarWidth), 0, kBarWidth);
  const auto left = static_cast<std::int64_t>(std::clamp(state.seconds_left, 0.0, 1e7));
  Buffer numbers;
  numbers.add(" {:3.0f} %  loss {:.4f}  acc {:.2f} %  {:.0f} img/s  {:02}:{:02} left", 100 * share, state.loss,
              100 * state.accuracy, state.images_per_second, left / 60, left % 60);
  Buffer out;
  if (terminal_) out.add("\r");
  out.add("epoch {}/{}", state.epoch, state.epochs);
  const bool bar = terminal_ && columns(file_) > out.used + numbers.used + kBarWidth + 3;
  if (bar)
    out.add(" {}{:━>{}}{}{:─>{}}{}", colour_ ? "\x1b[36m" : "", "", filled, colour_ ? "\x1b[2m" : "", "",
            kBarWidth - filled, colour_ ? "\x1b[0m" : "");
  const std::size_t wide = columns(file_) + 1;  // with the \r
  const std::size_t room = terminal_ ? wide - std::min(wide, out.used) : numbers.used;
  out.add("{}", numbers.view().substr(0, bar ? numbers.used : room));
  out.add("{}", terminal_ ? "\x1b[K" : "\n");
  put(file_, out.view());
  drawn_ = terminal_;
}

void Progress::line(const char* text) {
  if (!active_) return;
  clear();
  put(file_, text);
  put(file_, "\n");
  last_ = Clock::now();
}

void Progress::clear() {
  if (drawn_) put(file_, "\r\x1b[K");
  drawn_ = false;
}

}  // namespace tapestry::train
