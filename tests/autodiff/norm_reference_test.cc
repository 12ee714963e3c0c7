// The vectors that tests/golden/make_norm_reference.py writes, in float64 from formulas of its own: the oracle meets
// them, and so do the ops.
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

// The vectors that one use of a norm op gives: their name, and the use, whose shape is that of their x.
struct Vector {
  const char* name;
  NormCase use;
};

const Vector kVectors[] = {
    {"group per position", {.kind = NormKind::group, .num_groups = 2, .per_position = true}},
    {"instance per position", {.kind = NormKind::group, .num_groups = 4, .per_position = true}},
    {"layer all", {.kind = NormKind::layer, .axes = 2}},
    {"batch axis 1", {.kind = NormKind::batch_train, .features = 1}},
    {"batch biased", {.kind = NormKind::batch_train, .share = 0.01}},
    {"batch unbiased", {.kind = NormKind::batch_train, .running_variance = RunningVariance::unbiased, .share = 0.01}},
    {"batch evaluation", {.kind = NormKind::batch_eval}},
    {"layer trailing", {.kind = NormKind::layer, .axes = 2}},
    {"group 1", {.kind = NormKind::group, .num_groups = 1}},
    {"group 2", {.kind = NormKind::group, .num_groups = 2}},
    {"group 3", {.kind = NormKind::group, .num_groups = 3}},
    {"group 6", {.kind = NormKind::group, .num_groups = 6}},
    {"group mask", {.kind = NormKind::group, .num_groups = 2, .epsilon = 1e-6}},
    {"group last axis", {.kind = NormKind::group, .num_groups = 3, .reduction = -1, .epsilon = 1e-6}},
    {"layer last axis", {.kind = NormKind::layer, .epsilon = 1e-6}},
    {"rms", {.kind = NormKind::rms, .epsilon = 1e-6}},
    {"instance", {.kind = NormKind::instance, .epsilon = 1e-6}},
    {"batch feature mask", {.kind = NormKind::batch_train, .features = 1, .share = 0.01}},
    {"batch inverse", {.kind = NormKind::batch_train, .running_variance = RunningVariance::inverse_std, .share = 0.1}},
    {"group rank 4", {.kind = NormKind::group, .num_groups = 2}},
    {"layer mask", {.kind = NormKind::layer, .epsilon = 1e-6}},
    {"rms mask", {.kind = NormKind::rms, .epsilon = 1e-6}},
    {"instance mask", {.kind = NormKind::instance, .epsilon = 1e-6}},
    {"batch mask row", {.kind = NormKind::batch_train}},
    {"layer axis 1", {.kind = NormKind::layer, .reduction = 1, .features = -1, .epsilon = 1e-6}},
    {"layer axes 0 1 2", {.kind = NormKind::layer, .reduction = {0, 1, 2}, .features = -1, .epsilon = 1e-6}},
    {"rms axes 1 2", {.kind = NormKind::rms, .reduction = {1, 2}, .features = -1, .epsilon = 1e-6}},
    {"layer features 1 2", {.kind = NormKind::layer, .features = {1, 2}, .epsilon = 1e-6}},
    {"instance features 1 3", {.kind = NormKind::instance, .features = {1, 3}, .epsilon = 1e-6}},
    {"group axes 0 1 3", {.kind = NormKind::group, .num_groups = 2, .reduction = {0, 1, 3}, .epsilon = 1e-6}},
};

std::vector<double> values(const Arrays& arrays, const std::string& name) {
  const auto found = arrays.find(name);
  if (found == arrays.end()) return {};
  const auto span = std::as_const(found->second).span<double>();
  return {span.begin(), span.end()};
}

NormCase use_of(const Arrays& arrays, const Vector& vector) {
  const std::string name = vector.name;
  NormCase use = vector.use;
  use.shape = arrays.at(name + "/x").shape();
  use.bias = arrays.contains(name + "/beta");
  if (arrays.contains(name + "/mask")) use.mask = arrays.at(name + "/mask").shape();
  return use;
}

NormProblem problem_of(const Arrays& arrays, const std::string& name, const NormCase& use) {
  NormProblem p = arranged(use);
  p.x = values(arrays, name + "/x");
  p.dy = values(arrays, name + "/dy");
  p.weight = values(arrays, name + "/gamma");
  p.bias = values(arrays, name + "/beta");
  if (use.mask) {
    const std::vector<double> mask = values(arrays, name + "/mask");
    for (std::size_t at : index_in(use.shape, *use.mask)) p.selected.push_back(mask[at] != 0);
  }
  const bool frozen = use.kind == NormKind::batch_eval;
  (frozen ? p.frozen_mean : p.running_mean) = values(arrays, name + "/mean_before");
  (frozen ? p.frozen_var : p.running_var) = values(arrays, name + "/var_before");
  return p;
}

// The vectors, beside what the oracle says about the size of the terms that make them.
NormSolution vector_of(const Arrays& arrays, const std::string& name, const NormProblem& problem) {
  NormSolution vector = solve(problem);
  vector.y = values(arrays, name + "/y");
  vector.dx = values(arrays, name + "/dx");
  vector.dweight = values(arrays, name + "/dgamma");
  vector.dbias = values(arrays, name + "/dbeta");
  vector.running_mean = values(arrays, name + "/mean_after");
  vector.running_var =
      values(arrays, name + (arrays.contains(name + "/inv_std_after") ? "/inv_std_after" : "/var_after"));
  return vector;
}

}  // namespace

TEST_CASE("norm oracle: it meets the vectors of the reference") {
  Context context{{.threads = 1}};
  const Arrays arrays = golden_arrays(context, "norm_reference");
  for (const Vector& vector : kVectors) {
    const NormCase use = use_of(arrays, vector);
    const NormProblem problem = problem_of(arrays, vector.name, use);
    const NormSolution found = solve(problem);
    const auto complaint =
        judge(use, problem, vector_of(arrays, vector.name, problem),
              {found.y, found.dx, found.dweight, use.bias ? found.dbias : std::vector<double>{}, {}}, 1e-11);
    INFO(vector.name << ": " << complaint.value_or(""));
    REQUIRE(!complaint);
  }
}

TEST_CASE("norms: every vector of the reference is met by some test") {
  Context context{{.threads = 1}};
  std::set<std::string> names;
  for (const auto& [key, tensor] : golden_arrays(context, "norm_reference")) names.insert(key.substr(0, key.find('/')));
  for (const Vector& vector : kVectors) REQUIRE(names.erase(vector.name) == 1);
  // norm_reference_ops_test.cc has the others.
  REQUIRE(names == std::set<std::string>{"batch replicas", "batch replicas mask", "local response",
                                         "weight standardization", "weight norm", "spectral norm"});
}

TEST_CASE("norms: they meet the vectors of the reference, in double and in float") {
  Context reference{{.threads = 1}};
  const Arrays arrays = golden_arrays(reference, "norm_reference");
  for (Target target : tested_targets()) {
    Context context{{.threads = 2, .target = target}};
    for (const Vector& vector : kVectors) {
      const NormCase use = use_of(arrays, vector);
      const NormProblem problem = problem_of(arrays, vector.name, use);
      const NormSolution expected = vector_of(arrays, vector.name, problem);
      const auto in_double = judge(use, problem, expected, run(context, use, problem, DType::float64), 1e-10);
      const auto in_float = judge(use, problem, expected, run(context, use, problem, DType::float32), 1e-6);
      INFO(target_name(target) << ", " << vector.name << ": " << in_double.value_or("") << in_float.value_or(""));
      REQUIRE((!in_double && !in_float));
      count_case(target);
    }
  }
}
