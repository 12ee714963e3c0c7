// The errors of the whole project. Everything that Tapestry throws on purpose derives from tapestry::Error.
#pragma once

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

}  // namespace tapestry
