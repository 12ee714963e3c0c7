// Plain loops that say what every kernel means: the fp64 path of all ops, and what the tests hold the kernels against.
#pragma once

#include "kernels/reference/conv.h"
#include "kernels/reference/copy.h"
#include "kernels/reference/dropout.h"
#include "kernels/reference/elementwise.h"
#include "kernels/reference/extreme.h"
#include "kernels/reference/local_response.h"
#include "kernels/reference/loss.h"
#include "kernels/reference/matmul.h"
#include "kernels/reference/norm.h"
#include "kernels/reference/norm_channels.h"
#include "kernels/reference/pointwise_loss.h"
#include "kernels/reference/pool.h"
#include "kernels/reference/reduce.h"
#include "kernels/reference/resize.h"
#include "kernels/reference/softmax.h"
#include "kernels/reference/update.h"
