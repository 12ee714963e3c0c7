// What most tests of layers include, beside what tests of ops do.
#include "tests/pch/autodiff.h"
//
#include "layers/sequential.h"
