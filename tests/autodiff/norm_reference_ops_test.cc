// The rest of the reference's vectors, and of PyTorch's: norms whose statistics replicas share, local response norm and
// norms of weights.
#include <array>
#include <functional>
#include <map>

#include "autodiff/ops/local_response.h"
#include "autodiff/ops/norm.h"
#include "autodiff/ops/weight_norm.h"
#include "autodiff/tape.h"
#include "tests/catch.h"
#include "tests/support/golden.h"
#include "tests/support/norm_oracle.h"
#include "tests/support/targets.h"
#include "train/replicas.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

using Arrays = std::map<std::string, Tensor>;
using Op = std::function<Var(const Var& x, const Var& gamma)>;

// The largest difference relative to the largest number that is expected.
double error(const Tensor& found, const Tensor& expected) {
  Tensor zeros = expected.like();
  zeros.fill(0);
  return largest_difference(found.reshape(expected.shape()), expected) / largest_difference(zeros, expected);
}

// op(x, gamma) of the vector's arrays in double and in float on every target.
void check_vector(const Arrays& arrays, const std::string& name, const Op& op) {
  for (Target target : tested_targets()) {
    Context context{{.threads = 2, .target = target}};
    for (DType dtype : {DType::float32, DType::float64}) {
      Tape tape{context};
      const Var x = tape.variable(arrays.at(name + "/x").to(dtype));
      const bool has_gamma = arrays.contains(name + "/gamma");
      const Var gamma = has_gamma ? tape.variable(arrays.at(name + "/gamma").to(dtype)) : Var{};
      const Var y = op(x, gamma);
      const Gradients gradients = tape.backward(y, arrays.at(name + "/dy").to(dtype));
      const double tolerance = dtype == DType::float32 ? 1e-6 : 1e-10;
      INFO(target_name(target) << ", " << name << ", " << dtype_name(dtype));
      REQUIRE(error(y.value(), arrays.at(name + "/y")) <= tolerance);
      REQUIRE(error(gradients[x], arrays.at(name + "/dx")) <= tolerance);
      if (has_gamma) REQUIRE(error(gradients[gamma], arrays.at(name + "/dgamma")) <= tolerance);
    }
    count_case(target);
  }
}

std::span<const double> doubles(const Tensor& tensor) { return tensor.span<double>(); }

// Each replica's part of `whole`, which is that array at its index.
Tensor part_of(const Tensor& whole, int index) {
  const Shape shape = whole.shape().drop_front();
  return whole.view(index * shape.size(), shape);
}

// Batch norm of x [replicas, N, ..., C] by as many replicas.
void check_replicas(const Arrays& arrays, const std::string& name, const ReplicaAxes& axes, Target target,
                    DType dtype) {
  const auto array = [&](const char* key) { return arrays.at(name + "/" + key); };
  const Context context{{.threads = 1, .target = target}};
  const int count = static_cast<int>(array("x").shape()[0]);
  std::array<std::array<Tensor, 4>, 4> found;  // of each replica: y, dx, dgamma, dbeta
  train::replicate(context, {.count = count}, [&](train::Replica& replica) {
    Tape tape{replica.context()};
    const int i = replica.index();
    const Var x = tape.variable(part_of(array("x"), i).to(dtype)), gamma = tape.variable(array("gamma").to(dtype)),
              beta = tape.variable(array("beta").to(dtype));
    BatchNormOptions options{.replicas = &axes};
    if (arrays.contains(name + "/mask")) options.mask = part_of(array("mask"), i);
    const Var y = batch_norm(x, gamma, beta, options);
    const Gradients gradients = tape.backward(y, part_of(array("dy"), i).to(dtype));
    found[static_cast<std::size_t>(i)] = {y.value().clone(), gradients[x].clone(), gradients[gamma].clone(),
                                          gradients[beta].clone()};
  });
  const char* const keys[] = {"y", "dx", "dgamma", "dbeta"};
  const double tolerance = dtype == DType::float32 ? 1e-6 : 1e-10;
  for (std::size_t k = 0; k < 4; ++k) {
    Tensor all = array(keys[k]).clone();
    all.fill(0);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const Tensor wide = found[i][k].to(DType::float64);
      const std::size_t start = k < 2 ? i * doubles(wide).size() : 0;  // the gradients of parameters are sums
      for (std::size_t j = 0; j < doubles(wide).size(); ++j) all.span<double>()[start + j] += doubles(wide)[j];
    }
    INFO(target_name(target) << ", " << name << ", " << keys[k]);
    REQUIRE(error(all, array(keys[k])) <= tolerance);
  }
}

}  // namespace

TEST_CASE("batch_norm: replicas that share statistics meet the vectors of the reference, and so does the oracle") {
  Context reference{{.threads = 1}};
  const Arrays arrays = golden_arrays(reference, "norm_reference");
  const std::pair<const char*, ReplicaAxes> cases[] = {
      {"batch replicas", {.names = {"batch"}, .index_groups = {{0, 1}, {2, 3}}}},
      {"batch replicas mask", {.names = {"batch"}}}};
  for (const auto& [name, axes] : cases) {
    for (Target target : tested_targets())
      for (DType dtype : {DType::float32, DType::float64}) {
        check_replicas(arrays, name, axes, target, dtype);
        count_case(target);
      }
    const auto values = [&](const char* key) {
      const std::span<const double> span = doubles(arrays.at(std::string(name) + "/" + key));
      return std::vector<double>(span.begin(), span.end());
    };
    const Shape shape = arrays.at(std::string(name) + "/x").shape();
    NormProblem problem;
    problem.x = values("x");
    problem.dy = values("dy");
    problem.weight = values("gamma");
    problem.bias = values("beta");
    problem.affine = problem.set = index_over(shape, -1);
    problem.replica = index_over(shape, 0);
    for (std::size_t i = 0; i < problem.set.size() && !axes.index_groups.empty(); ++i)
      problem.set[i] += problem.replica[i] / 2 * static_cast<std::size_t>(shape[-1]);
    if (arrays.contains(std::string(name) + "/mask"))
      for (double m : values("mask")) problem.selected.push_back(m != 0);
    const NormSolution solution = solve(problem);
    const auto off = [&](const std::vector<double>& found, const char* key) {
      double worst = 0;
      for (std::size_t i = 0; i < found.size(); ++i) worst = std::max(worst, std::abs(found[i] - values(key)[i]));
      return worst;
    };
    REQUIRE(off(solution.y, "y") < 1e-12);
    REQUIRE(off(solution.dx, "dx") < 1e-12);
    REQUIRE(off(solution.dweight, "dgamma") < 1e-12);
    REQUIRE(off(solution.dbias, "dbeta") < 1e-12);
  }
}

TEST_CASE("local_response_norm: it meets the vectors of the reference and PyTorch's") {
  Context reference{{.threads = 1}};
  check_vector(golden_arrays(reference, "norm_reference"), "local response", [](const Var& x, const Var&) {
    return local_response_norm(x, {.size = 3, .alpha = 0.5, .beta = 0.75, .k = 2, .scaling = ResponseScaling::sum});
  });
  const Arrays torch = golden_arrays(reference, "norm_torch");
  int count = 0;
  for (const auto& [key, tensor] : torch) {
    if (key.find("local_response") != 0 || !key.ends_with("/options")) continue;
    const std::span<const double> o = doubles(tensor);
    check_vector(torch, key.substr(0, key.find('/')), [o](const Var& x, const Var&) {
      return local_response_norm(x, {.size = static_cast<std::int64_t>(o[0]), .alpha = o[1], .beta = o[2], .k = o[3]});
    });
    ++count;
  }
  REQUIRE(count == 3);
}

TEST_CASE("norms of weights: they meet the vectors of the reference") {
  Context reference{{.threads = 1}};
  const Arrays arrays = golden_arrays(reference, "norm_reference");
  check_vector(arrays, "weight standardization",
               [](const Var& w, const Var& gain) { return weight_standardization(w, gain); });
  check_vector(arrays, "weight norm", [](const Var& v, const Var& g) { return weight_norm(v, g); });
  check_vector(arrays, "spectral norm", [&](const Var& w, const Var&) {
    Buffer u, v;
    u.set(arrays.at("spectral norm/u").reshape({w.shape()[-1]}).to(w.dtype()).clone());
    v.set(w.value().like({w.shape().size() / w.shape()[-1]}));
    v.cell()->value.fill(0);
    return spectral_norm(w, u, v, {.power_iterations = 3});
  });
}
