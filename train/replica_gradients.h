// The mean of the replicas' gradients; not part of the public interface.
#pragma once

#include <span>

#include "autodiff/gradients.h"
#include "train/meeting.h"

namespace tapestry::train::detail {

// Called by each of the replicas that `all` names, 0 to n - 1; shared [n] is one place for all of them.
void mean_gradients(Meeting& meeting, int replica, const Call& all, const Gradients& own,
                    std::span<const Gradients*> shared);

}  // namespace tapestry::train::detail
