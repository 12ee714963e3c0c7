// What is done beside each image of a batch by the kernel that computes it, so that the next kernel finds the image in
// the cache.
#pragma once

#include "kernels/device.h"
#include "kernels/runtime/function_ref.h"

namespace tapestry::kernels {

struct ImageSteps {
  using Step = FunctionRef<void(std::size_t image)>;
  const Step* before = nullptr;  // called once an image, before anything of its input is read
  const Step* after = nullptr;   // called once an image, after all of its output is written

  bool empty() const { return before == nullptr && after == nullptr; }

  // The steps of a batch whose images are computed all together by compute().
  template <class Compute>
  void around(const Device& device, std::size_t images, const Compute& compute) const {
    if (before != nullptr) device.pool.run(images, *before);
    compute();
    if (after != nullptr) device.pool.run(images, *after);
  }
};

}  // namespace tapestry::kernels
