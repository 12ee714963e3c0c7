#include "tests/support/norm_oracle.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace tapestry::test {
namespace {

using Real = long double;

// Calls body(number, position) for each element, row-major.
template <class Body>
void for_positions(const Shape& shape, const Body& body) {
  std::vector<std::int64_t> at(static_cast<std::size_t>(shape.rank()), 0);
  for (std::int64_t i = 0; i < shape.size(); ++i) {
    body(static_cast<std::size_t>(i), at);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      std::int64_t& place = at[static_cast<std::size_t>(axis)];
      if (++place < shape[axis]) break;
      place = 0;
    }
  }
}

Real parameter(const std::vector<double>& values, std::size_t at, Real missing) {
  return values.empty() ? missing : static_cast<Real>(values[at]);
}

struct Statistics {
  std::vector<Real> share;            // w of each element
  std::vector<Real> mean, var, rstd;  // of each set
};

// w: 1 over how many elements of the same set and replica are selected, and over how many replicas the set has.
std::vector<Real> shares(const NormProblem& p, std::size_t sets) {
  const auto counts = [&](std::size_t i) { return p.selected.empty() || p.selected[i]; };
  const auto replica = [&](std::size_t i) { return p.replica.empty() ? 0 : p.replica[i]; };
  std::size_t replicas = 1;
  for (std::size_t r : p.replica) replicas = std::max(replicas, r + 1);
  std::vector<Real> selected(sets * replicas, 0), parts(sets, 0);
  std::vector<bool> takes_part(sets * replicas, false);
  for (std::size_t i = 0; i < p.x.size(); ++i) {
    const std::size_t cell = p.set[i] * replicas + replica(i);
    if (!takes_part[cell]) parts[p.set[i]] += 1;
    takes_part[cell] = true;
    if (counts(i)) selected[cell] += 1;
  }
  std::vector<Real> share(p.x.size());
  for (std::size_t i = 0; i < p.x.size(); ++i)
    share[i] = counts(i) ? 1 / (selected[p.set[i] * replicas + replica(i)] * parts[p.set[i]]) : 0;
  return share;
}

Statistics statistics(const NormProblem& p) {
  std::size_t sets = p.frozen_mean.size();
  for (std::size_t set : p.set) sets = std::max(sets, set + 1);
  Statistics s{.share = shares(p, sets),
               .mean = std::vector<Real>(sets, 0),
               .var = std::vector<Real>(sets, 0),
               .rstd = std::vector<Real>(sets)};
  std::vector<bool> any(sets, false);
  for (std::size_t i = 0; i < p.x.size(); ++i) {
    if (s.share[i] == 0) continue;
    any[p.set[i]] = true;
    if (p.center) s.mean[p.set[i]] += s.share[i] * static_cast<Real>(p.x[i]);
  }
  for (std::size_t i = 0; i < p.x.size(); ++i) {
    const Real apart = static_cast<Real>(p.x[i]) - s.mean[p.set[i]];
    if (s.share[i] != 0) s.var[p.set[i]] += s.share[i] * apart * apart;
  }
  for (std::size_t set = 0; set < sets; ++set)
    if (!any[set]) s.mean[set] = s.var[set] = NAN;
  if (!p.frozen_mean.empty()) {
    s.mean.assign(p.frozen_mean.begin(), p.frozen_mean.end());
    s.var.assign(p.frozen_var.begin(), p.frozen_var.end());
  }
  for (std::size_t set = 0; set < sets; ++set) s.rstd[set] = 1 / std::sqrt(s.var[set] + static_cast<Real>(p.epsilon));
  return s;
}

}  // namespace

std::vector<std::size_t> index_over(const Shape& shape, const Axes& kept) {
  std::vector<std::size_t> index(static_cast<std::size_t>(shape.size()));
  for_positions(shape, [&](std::size_t i, const std::vector<std::int64_t>& at) {
    std::int64_t number = 0;
    for (int axis : kept) number = number * shape[axis] + at[static_cast<std::size_t>(shape.axis(axis))];
    index[i] = static_cast<std::size_t>(number);
  });
  return index;
}

std::vector<std::size_t> index_in(const Shape& shape, const Shape& small) {
  std::vector<std::size_t> index(static_cast<std::size_t>(shape.size()));
  for_positions(shape, [&](std::size_t i, const std::vector<std::int64_t>& at) {
    std::int64_t number = 0;
    for (int axis = -small.rank(); axis < 0; ++axis)
      number = number * small[axis] + (small[axis] == 1 ? 0 : at[static_cast<std::size_t>(shape.axis(axis))]);
    index[i] = static_cast<std::size_t>(number);
  });
  return index;
}

Axes axes_but(const Shape& shape, const Axes& left_out) {
  Axes others;
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (std::ranges::none_of(left_out, [&](int out) { return shape.axis(out) == axis; })) others.add(axis);
  return others;
}

NormSolution solve(const NormProblem& p) {
  const Statistics s = statistics(p);
  const std::size_t n = p.x.size(), sets = s.mean.size();
  std::size_t parameters = std::max(p.weight.size(), p.bias.size());
  for (std::size_t a : p.affine) parameters = std::max(parameters, a + 1);
  NormSolution out{.y = std::vector<double>(n), .dx = std::vector<double>(n), .dresidual = std::vector<double>(n)};
  std::vector<Real> gradients(sets, 0), products(sets, 0), dweight(parameters, 0), dbias(parameters, 0),
      squares(parameters, 0);
  Real h_squares = 0;
  const auto h = [&](std::size_t i) { return (static_cast<Real>(p.x[i]) - s.mean[p.set[i]]) * s.rstd[p.set[i]]; };
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t a = p.affine[i];
    const Real h_i = h(i), v = h_i * parameter(p.weight, a, 1) + parameter(p.bias, a, 0) + parameter(p.residual, i, 0);
    out.y_terms = std::max(out.y_terms, static_cast<double>(std::abs(v)));
    out.y[i] = static_cast<double>(p.relu && v <= 0 ? 0 : v);
    const Real passed = p.relu && v <= 0 ? 0 : static_cast<Real>(p.dy[i]);
    out.dresidual[i] = static_cast<double>(passed);
    dbias[a] += passed;
    squares[a] += passed * passed;
    const Real product = passed == 0 ? 0 : passed * h_i;  // a NaN that the mask left out needs a gradient to get in
    dweight[a] += product;
    if (std::isfinite(h_i)) h_squares += h_i * h_i;
    const Real g = passed * parameter(p.weight, a, 1);
    gradients[p.set[i]] += g;
    products[p.set[i]] += product * parameter(p.weight, a, 1);
    out.dx_terms = std::max(out.dx_terms, static_cast<double>(std::abs(g) * s.rstd[p.set[i]]));
  }
  for (std::size_t i = 0; i < n; ++i) {
    Real d = static_cast<Real>(out.dresidual[i]) * parameter(p.weight, p.affine[i], 1);
    if (p.frozen_mean.empty() && s.share[i] != 0)
      d -= s.share[i] * ((p.center ? gradients[p.set[i]] : 0) + h(i) * products[p.set[i]]);
    out.dx[i] = static_cast<double>(s.rstd[p.set[i]] * d);
  }
  const auto to_double = [](const std::vector<Real>& values) {
    return std::vector<double>(values.begin(), values.end());
  };
  out.dweight = to_double(dweight);
  out.dbias = to_double(dbias);
  out.mean = to_double(s.mean);
  out.var = to_double(s.var);
  for (Real square : squares) out.dbias_terms = std::max(out.dbias_terms, static_cast<double>(std::sqrt(square)));
  if (n > 0) out.dweight_terms = out.dbias_terms * static_cast<double>(std::sqrt(h_squares / static_cast<Real>(n)));
  return out;
}

void next_running(const NormProblem& p, RunningVariance kind, double share, NormSolution& solution) {
  const std::size_t sets = solution.mean.size();
  const bool finite = std::ranges::all_of(solution.var, [](double v) { return std::isfinite(v); });
  std::vector<double> count(sets, 0);
  for (std::size_t i = 0; i < p.x.size(); ++i)
    if (p.selected.empty() || p.selected[i]) count[p.set[i]] += 1;
  for (std::size_t set = 0; set < sets; ++set) {
    double var = solution.var[set];
    if (kind == RunningVariance::unbiased && count[set] > 1) var *= count[set] / (count[set] - 1);
    if (kind == RunningVariance::inverse_std) var = 1 / std::sqrt(var + p.epsilon);
    const double old_mean = p.running_mean.empty() ? 0 : p.running_mean[set];
    const double old_var = p.running_var.empty() ? 1 : p.running_var[set];
    solution.running_mean.push_back(finite ? (1 - share) * old_mean + share * solution.mean[set] : old_mean);
    solution.running_var.push_back(finite ? (1 - share) * old_var + share * var : old_var);
  }
}

}  // namespace tapestry::test
