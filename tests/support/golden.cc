#include "tests/support/golden.h"

#include <cmath>
#include <cstdlib>

#include "io/npz.h"
#include "tests/catch.h"

namespace tapestry::test {

std::map<std::string, Tensor> golden_arrays(const Context& context, const std::string& name) {
  const char* folder = std::getenv("TAPESTRY_GOLDEN");
  std::map<std::string, Tensor> arrays;
  for (const NamedTensor& array :
       io::load_npz(context, std::string(folder == nullptr ? "tests/golden" : folder) + "/" + name + ".npz"))
    arrays[array.name] = array.value;
  return arrays;
}

double largest_difference(const Tensor& found, const Tensor& expected) {
  REQUIRE(found.shape() == expected.shape());
  const Tensor wide_found = found.to(DType::float64), wide_expected = expected.to(DType::float64);
  const auto a = std::as_const(wide_found).span<double>(), b = std::as_const(wide_expected).span<double>();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    const double difference = std::abs(a[i] - b[i]);
    if (!(difference <= worst)) worst = difference;
    if (std::isnan(worst)) break;
  }
  return worst;
}

void require_near(const std::string& name, const Tensor& found, const Tensor& expected, double tolerance) {
  INFO(name);
  REQUIRE(largest_difference(found, expected) <= tolerance);
}

}  // namespace tapestry::test
