// All patterns of axes that stay and axes that go, for the tests of reductions.
#pragma once

#include <functional>

#include "autodiff/ops/reduce.h"
#include "tests/support/ops.h"

namespace tapestry::test {

struct ReductionCase {
  Shape shape;
  Axes axes;
  int count;  // elements behind each result
};

inline const ReductionCase kReductionCases[] = {{Shape{}, {}, 1},
                                                {Shape{7}, {}, 7},
                                                {Shape{7}, 0, 7},
                                                {Shape{4, 5}, {}, 20},
                                                {Shape{4, 5}, 0, 4},
                                                {Shape{4, 5}, -1, 5},
                                                {Shape{3, 4, 5}, 1, 4},
                                                {Shape{3, 4, 5}, {0, 2}, 15},
                                                {Shape{2, 3, 4, 5}, {0, 1, 2}, 24},
                                                {Shape{2, 3, 2, 5}, {1, 3}, 15},
                                                {Shape{2, 3, 2, 2, 3}, {1, 2, 4}, 18},
                                                {Shape{2, 2, 3, 2, 2, 2}, {0, 2, 4}, 12},
                                                {Shape{1, 6, 1}, {0, 2}, 1},
                                                {Shape{3, 33}, 1, 33},
                                                {Shape{33, 3}, 0, 33}};

// check_op with and without keepdim on all cases in which each result stands for `least` elements or more.
inline void check_reductions(const std::function<Var(const Var&, ReduceOptions)>& f, int least = 1,
                             OpCheck check = {}) {
  for (const ReductionCase& entry : kReductionCases)
    for (bool keepdim : {false, true})
      if (entry.count >= least)
        check_op([&](std::span<const Var> in) { return f(in[0], {.axes = entry.axes, .keepdim = keepdim}); },
                 {entry.shape}, check);
}

}  // namespace tapestry::test
