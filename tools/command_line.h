// What command lines have in common: number checks, the options of a context, exit codes, one line for an error.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "kernels/device.h"

namespace tapestry::tools {

// CLI11's own range check lets NaN pass.
CLI::Validator number_from(double low, double high);
CLI::Validator integer_from(std::int64_t low, std::int64_t high);

void add_seed(CLI::App& app, std::uint64_t& seed);
void add_threads(CLI::App& app, int& threads);
void add_precision(CLI::App& app, std::string& precision);

// One of "highest", "high" and "medium", which add_precision lets pass.
Precision precision_of(std::string_view word);

// One line on stderr; returns the code.
int report_error(std::string_view message, int code);

// Adds --version, parses the command line and calls body(). Returns the program's exit code: what body() returned, or
// 2 usage, 3 bad file, 4 environment, 5 numeric stop, 6 a peer failed. An error is one line on stderr.
int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

}  // namespace tapestry::tools
