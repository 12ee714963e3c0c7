// The errors of the whole project. Everything that Tapestry throws on purpose derives from tapestry::Error.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>

namespace tapestry {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct ShapeError : Error {
  using Error::Error;
};  // shapes that do not fit
struct ArgumentError : Error {
  using Error::Error;
};  // a value outside its rule, or a call out of order
struct FileError : Error {
  using Error::Error;
};  // a file that is missing, truncated or damaged
struct NumericError : Error {
  using Error::Error;
};  // a NaN or infinity where the run must stop
struct EnvironmentError : Error {
  using Error::Error;
};  // memory, I/O, CPU: what the machine refuses
struct PeerError : Error {
  using Error::Error;
};  // another replica failed, or never came to what all do together

// What a program returns that `error` ends: 2 for a value or shape that the user gave, 3 for a bad file, 4 for what the
// machine refuses (memory included), 5 for a numeric stop, 6 for a peer that failed, 1 for anything else.
inline int exit_code(const std::exception& error) {
  if (dynamic_cast<const FileError*>(&error) != nullptr) return 3;
  if (dynamic_cast<const EnvironmentError*>(&error) != nullptr) return 4;
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return 4;
  if (dynamic_cast<const NumericError*>(&error) != nullptr) return 5;
  if (dynamic_cast<const PeerError*>(&error) != nullptr) return 6;
  return dynamic_cast<const Error*>(&error) != nullptr ? 2 : 1;
}

}  // namespace tapestry
