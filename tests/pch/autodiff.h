// What most tests of ops include, beside what all tests do.
#include "tests/pch/common.h"
//
#include "autodiff/tape.h"
#include "kernels/error.h"
