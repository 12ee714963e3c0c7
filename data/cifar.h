// CIFAR-10 and CIFAR-100: 50000 and 10000 images [32, 32, 3]. Krizhevsky 2009.
#pragma once

#include <string>

#include "data/dataset.h"

namespace tapestry::data {

struct CifarOptions {
  std::string directory = "";  // where the files are; empty: the usual places, see data::find
};

struct Cifar100Options {
  std::string directory = "";
  bool coarse = false;  // labels are the 20 groups of classes, not the 100 classes
};

// The binary versions: data_batch_1.bin to data_batch_5.bin and test_batch.bin of cifar-10-batches-bin, train.bin and
// test.bin of cifar-100-binary. FileError when the files are nowhere, damaged, not made of whole images, or have a
// label that is no class.
Split cifar10(const CifarOptions& options = {});
Split cifar100(const Cifar100Options& options = {});

}  // namespace tapestry::data
