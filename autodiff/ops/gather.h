// Elements picked by an index. Indices are int64 and have no gradient; one out of range is an error that names it.
#pragma once

#include "autodiff/record.h"

namespace tapestry {

struct GatherOptions {
  int axis = 0;
  Location where = std::source_location::current();
};

// y[..., i, ...] = x[..., index[..., i, ...], ...] along one axis; x and index are equal in all other sizes
// (torch.gather). The gradient is added up in the order of the index.
Var gather(const Var& x, const Tensor& index, GatherOptions options = {});

// The rows of table [V, ...] that `indices` names: y [indices..., ...]. Embeddings are looked up this way.
// The gradient is added up in the order of the indices.
Var gather_rows(const Var& table, const Tensor& indices, Location where = std::source_location::current());

}  // namespace tapestry
