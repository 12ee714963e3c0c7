// The door to the pointwise kernels: raw pointers, one set of functions for each instruction set. What stands behind it
// is compiled several times (autodiff/pointwise/meson.build), so this header holds no code.
#pragma once

#include <cstddef>

namespace tapestry::pointwise {

// A number in the list of formulas (formulas-inl.h).
enum class Op : unsigned char {};

// The options of an op.
struct Params {
  double a = 0, b = 0;
};

// What an option may be: any number but NaN, a finite one, or one that is not 0 either.
enum class Rule : unsigned char { number, finite, nonzero };
struct Option {
  const char* name = "";
  double value = 0;  // where nobody says another
  Rule rule = Rule::finite;
};
struct Signature {
  const char* name;
  Option a = {}, b = {};
};

struct Loops {
  // y = op(x).
  void (*forward)(const Params& params, const float* x, float* y, std::size_t size);
  // dx from dy and what the op saves: x, or y where saves_output(op, params).
  void (*backward)(const Params& params, const float* saved, const float* dy, float* dx, std::size_t size);
};

struct Kernels {
  const Loops* loops;  // of each op
  // One weight for each element: y = x > 0 ? x : w x; dx = x > 0 ? dy : w dy; dw = x > 0 ? 0 : x dy.
  void (*prelu)(const float* x, const float* w, float* y, std::size_t size);
  void (*prelu_dx)(const float* x, const float* w, const float* dy, float* dx, std::size_t size);
  void (*prelu_dw)(const float* x, const float* dy, float* dw, std::size_t size);
};

namespace scalar {
extern const Kernels kKernels;
}
namespace baseline {
extern const Kernels kKernels;
}
#if defined(__x86_64__) || defined(__i386__)
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}
#endif

}  // namespace tapestry::pointwise
