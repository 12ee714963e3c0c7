#include "train/progress.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "tests/catch.h"
#include "tests/support/files.h"

using namespace tapestry;
using namespace tapestry::test;
using train::Progress;

namespace {

struct Terminal {
  int master = posix_openpt(O_RDWR | O_NOCTTY), slave = -1;
  Terminal() {
    if (!usable()) return;
    REQUIRE(grantpt(master) == 0);
    REQUIRE(unlockpt(master) == 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    REQUIRE(slave >= 0);
    fcntl(master, F_SETFL, O_NONBLOCK);
  }
  ~Terminal() {
    close(slave);
    close(master);
  }
  bool usable() const { return master >= 0; }
  // What arrived until nothing came for 50 ms: the kernel hands it over in pieces.
  std::string text() const {
    std::string all, piece(10000, ' ');
    for (pollfd ready{master, POLLIN, 0}; poll(&ready, 1, 50) == 1;) {
      const ssize_t got = read(master, piece.data(), piece.size());
      if (got <= 0) break;
      all.append(piece, 0, static_cast<std::size_t>(got));
    }
    return all;
  }
};

constexpr train::ProgressState kState{2, 5, 30, 60, 0.25, 0.5, 1000, 75};

// What is on the terminal after one update at the right time.
std::string drawn(Terminal& terminal) {
  Progress progress(true, terminal.slave);
  std::this_thread::sleep_for(std::chrono::milliseconds(110));
  progress.update(kState);
  return terminal.text();
}

}  // namespace

TEST_CASE("progress: a bar on a terminal, in its place") {
  Terminal terminal;
  if (!terminal.usable()) {
    WARN("skipped: this machine gives no terminals");
    return;
  }
  const ScopedEnvironment term("TERM", "xterm"), colour("NO_COLOR", nullptr);
  winsize size{24, 120, 0, 0};
  ioctl(terminal.slave, TIOCSWINSZ, &size);
  const std::string text = drawn(terminal);
  REQUIRE_THAT(text, contains("\repoch 2/5 \x1b[36m") &&
                         contains(" 50 %  loss 0.2500  acc 50.00 %  1000 img/s  01:15 left\x1b[K"));
  REQUIRE_THAT(text, !contains("\n"));

  Progress progress(true, terminal.slave);
  progress.update(kState);  // not yet time
  REQUIRE(terminal.text().empty());
  std::this_thread::sleep_for(std::chrono::milliseconds(110));
  progress.update(kState);
  terminal.text();
  progress.line("done");
  REQUIRE(terminal.text() == "\r\x1b[Kdone\r\n");
}

TEST_CASE("progress: NO_COLOR, a dumb terminal, a narrow one") {
  Terminal terminal;
  if (!terminal.usable()) {
    WARN("skipped: this machine gives no terminals");
    return;
  }
  const ScopedEnvironment term("TERM", "xterm");
  {
    const ScopedEnvironment colour("NO_COLOR", "1");
    REQUIRE_THAT(drawn(terminal), contains("\r") && !contains("\x1b[36m"));
  }
  winsize size{24, 20, 0, 0};
  ioctl(terminal.slave, TIOCSWINSZ, &size);
  REQUIRE(drawn(terminal) == "\repoch 2/5  50 %  los\x1b[K");
  const ScopedEnvironment dumb("TERM", "dumb");
  REQUIRE(drawn(terminal).empty());
}

TEST_CASE("progress: plain lines elsewhere") {
  const TempDir dir;
  const int file = open((dir / "log").c_str(), O_WRONLY | O_CREAT, 0600);
  Progress progress(true, file), silent(false, file);
  progress.update(kState);
  progress.line("epoch 1");
  progress.clear();
  silent.line("nothing");
  close(file);
  REQUIRE(read_text(dir / "log") == "epoch 1\n");
}

TEST_CASE("progress: a reader that is gone changes nothing") {
  Progress closed(true, 1000);
  REQUIRE_NOTHROW(closed.line("x"));
  const int full = open("/dev/full", O_WRONLY);
  Progress progress(true, full);
  REQUIRE_NOTHROW(progress.line("x"));
  close(full);
}
