// Where in the user's code, and in which layer, an op was asked for. Errors and tape nodes carry it.
#pragma once

#include <source_location>
#include <string>
#include <string_view>

namespace tapestry {

struct Location {
  Location(std::source_location source = std::source_location::current(), const char* layer = "")  // NOLINT: implicit
      : source(source), layer(layer) {}

  std::source_location source;
  const char* layer;  // dotted path such as "features.2.conv", kept by the Context; empty outside layers
};

// "features.2.conv (main.cc:41): ", or "main.cc:41: " outside layers.
std::string to_string(const Location& where);

// Throws E with "<location><op>: <message>".
template <class E>
[[noreturn]] void fail(const Location& where, std::string_view op, std::string_view message) {
  throw E(to_string(where).append(op).append(": ").append(message));
}

}  // namespace tapestry
