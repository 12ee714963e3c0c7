// All of Tapestry's public interface.
#pragma once

#include "autodiff/gradcheck.h"
#include "autodiff/gradient.h"
#include "autodiff/map.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/loss.h"
#include "autodiff/ops/matmul.h"
#include "autodiff/ops/reduce.h"
#include "autodiff/ops/softmax.h"
#include "autodiff/record.h"
#include "autodiff/tape.h"
#include "data/find.h"
#include "data/idx.h"
#include "data/mnist.h"
#include "optim/adam.h"
#include "optim/schedule.h"
#include "optim/sgd.h"
