#include "tools/command_line.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "autodiff/version.h"
#include "kernels/error.h"

namespace tapestry::tools {

CLI::Validator number_from(double low, double high) {
  return CLI::Validator(
      [low, high](const std::string& text) -> std::string {
        double value = 0;
        if (CLI::detail::lexical_cast(text, value) && value >= low && value <= high) return {};
        return fmt::format("'{}' is not a number from {} to {}", text, low, high);
      },
      fmt::format("[{} - {}]", low, high));
}

CLI::Validator integer_from(std::int64_t low, std::int64_t high) {
  return CLI::Validator(
      [low, high](const std::string& text) -> std::string {
        std::int64_t value = 0;
        if (CLI::detail::lexical_cast(text, value) && value >= low && value <= high) return {};
        return fmt::format("'{}' is not a whole number from {} to {}", text, low, high);
      },
      fmt::format("[{} - {}]", low, high));
}

void add_seed(CLI::App& app, std::uint64_t& seed) {
  app.add_option("--seed", seed, "Where random numbers start")
      ->check(integer_from(0, std::int64_t{1} << 62))
      ->capture_default_str();
}

void add_threads(CLI::App& app, int& threads) {
  app.add_option("--threads", threads, "Threads; 0: as many as there are CPUs")
      ->check(integer_from(0, 1024))
      ->capture_default_str();
}

void add_precision(CLI::App& app, std::string& precision) {
  app.add_option("--precision", precision, "Of products")
      ->check(CLI::IsMember({"highest", "high", "medium"}))
      ->capture_default_str();
}

Precision precision_of(std::string_view word) {
  return word == "high" ? Precision::high : word == "medium" ? Precision::medium : Precision::highest;
}

int report_error(std::string_view message, int code) {
  std::fputs(fmt::format("tapestry: error: {}\n", message).c_str(), stderr);
  return code;
}

int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  try {
    app.set_version_flag("--version", fmt::format("tapestry {}", kVersion));
    try {
      app.parse(argc, argv);
    } catch (const CLI::Success& success) {  // --help and --version
      return app.exit(success);
    } catch (const CLI::ParseError& error) {
      return report_error(fmt::format("{}; --help lists the options", error.what()), 2);
    }
    const int code = body();
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return report_error("stdout: cannot be written", 4);
    return code;
  } catch (const std::exception& error) {
    return report_error(error.what(), exit_code(error));
  }
}

}  // namespace tapestry::tools
