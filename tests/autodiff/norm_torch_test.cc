// PyTorch's numbers: tests/golden/make_norm_golden.py writes them.
#include <fmt/format.h>

#include <map>
#include <set>

#include "tests/catch.h"
#include "tests/support/golden.h"
#include "tests/support/norm_case.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

using Arrays = std::map<std::string, Tensor>;

std::vector<double> values(const Arrays& arrays, const std::string& name) {
  const auto found = arrays.find(name);
  if (found == arrays.end()) return {};
  const auto span = std::as_const(found->second).span<double>();
  return {span.begin(), span.end()};
}

// The use that a name such as "group_2_3x6" stands for.
NormCase use_of(const Arrays& arrays, const std::string& name) {
  const auto begins = [&](const char* with) { return name.rfind(with, 0) == 0; };
  const auto number = [&](std::size_t at) { return std::stod(name.substr(at)); };
  NormCase use{.shape = arrays.at(name + "/x").shape(), .running_variance = RunningVariance::unbiased};
  use.kind = begins("group")      ? NormKind::group
             : begins("layer")    ? NormKind::layer
             : begins("instance") ? NormKind::instance
             : begins("batch_tr") ? NormKind::batch_train
                                  : NormKind::batch_eval;
  if (begins("group")) use.num_groups = static_cast<std::int64_t>(number(6));
  if (begins("layer")) use.axes = static_cast<int>(number(6));
  if (begins("batch_train")) use.share = number(12);
  use.weight = use.bias = arrays.contains(name + "/weight");
  return use;
}

NormProblem problem_of(const Arrays& arrays, const std::string& name, const NormCase& use) {
  NormProblem p = arranged(use);
  p.x = values(arrays, name + "/x");
  p.dy = values(arrays, name + "/dy");
  p.weight = values(arrays, name + "/weight");
  p.bias = values(arrays, name + "/bias");
  const bool frozen = use.kind == NormKind::batch_eval;
  (frozen ? p.frozen_mean : p.running_mean) = values(arrays, name + "/mean_before");
  (frozen ? p.frozen_var : p.running_var) = values(arrays, name + "/var_before");
  return p;
}

NormSolution golden_of(const Arrays& arrays, const std::string& name) {
  return {.y = values(arrays, name + "/y"),
          .dx = values(arrays, name + "/dx"),
          .dweight = values(arrays, name + "/dweight"),
          .dbias = values(arrays, name + "/dbias"),
          .running_mean = values(arrays, name + "/mean_after"),
          .running_var = values(arrays, name + "/var_after")};
}

}  // namespace

TEST_CASE("norms: group, layer, instance and batch norm have PyTorch's numbers") {
  Context reference{{.threads = 1}};
  const Arrays arrays = golden_arrays(reference, "norm_torch");
  std::set<std::string> names;
  for (const auto& [name, tensor] : arrays)
    if (name.rfind("local_response", 0) != 0) names.insert(name.substr(0, name.find('/')));
  REQUIRE(names.size() == 17);
  for (Target target : tested_targets()) {
    Context context{{.threads = 2, .target = target}};
    for (const std::string& name : names) {
      const NormCase use = use_of(arrays, name);
      const NormProblem problem = problem_of(arrays, name, use);
      const NormSolution golden = golden_of(arrays, name);
      const auto in_double = judge(use, problem, golden, run(context, use, problem, DType::float64), 1e-12);
      const auto in_float = judge(use, problem, golden, run(context, use, problem, DType::float32), 1e-6);
      INFO(target_name(target) << ", " << name << ": " << in_double.value_or("") << in_float.value_or(""));
      REQUIRE((!in_double && !in_float));
      count_case(target);
    }
  }
}
