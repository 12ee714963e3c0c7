#include "train/signals.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/catch.h"

using tapestry::train::SignalGuard;

namespace {

void (*handler_of(int signal))(int) {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler;
}

// Runs `body` in a child without Catch's handlers; the signal that ended it, or minus its exit code.
template <class Body>
int ending(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    body();
    _exit(7);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("signals: the first one is noted, and all is as before at the end") {
  const auto before = handler_of(SIGINT), before_term = handler_of(SIGTERM);
  {
    const SignalGuard guard;
    REQUIRE(guard.received() == 0);
    raise(SIGINT);
    REQUIRE(guard.received() == SIGINT);
  }
  REQUIRE(handler_of(SIGINT) == before);
  REQUIRE(handler_of(SIGTERM) == before_term);
  const SignalGuard again;
  REQUIRE(again.received() == 0);
}

TEST_CASE("signals: the second one ends the program at once") {
  for (const int first : {SIGINT, SIGTERM})
    for (const int second : {SIGINT, SIGTERM})
      REQUIRE(ending([&] {
                const SignalGuard guard;
                raise(first);
                raise(second);
              }) == second);
}

TEST_CASE("signals: guards nest") {
  const SignalGuard outer;
  {
    const SignalGuard inner;
    raise(SIGTERM);
    REQUIRE(inner.received() == SIGTERM);
  }
  REQUIRE(outer.received() == SIGTERM);
}

TEST_CASE("signals: an ignored signal stays ignored, an inactive guard changes nothing") {
  REQUIRE(ending([] {
            signal(SIGINT, SIG_IGN);
            const SignalGuard guard;
            raise(SIGINT);
            raise(SIGINT);
            if (guard.received() != 0) _exit(1);
          }) == -7);
  REQUIRE(ending([] {
            const SignalGuard guard(false);
            raise(SIGTERM);
          }) == SIGTERM);
}
