// One epoch's batches, as a range: for (const auto& [images, labels] : train.batches(context, {.size = 128})) ...
#pragma once

#include <cstddef>
#include <iterator>

#include "data/dataset.h"

namespace tapestry::data {

struct Batch {
  Tensor images;  // float32 [B, H, W, C]
  Tensor labels;  // int64 [B]
};

// A range to go through once. Its memory comes from the context's arena, and a batch's goes back there with its last
// handle: a steady step calls no heap.
class Batches {
 public:
  class Iterator {
   public:
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;

    const Batch& operator*() const { return batches_->batch_; }
    const Batch* operator->() const { return &batches_->batch_; }
    Iterator& operator++() {
      batches_->load(++batches_->index_);
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return batches_->index_ >= batches_->size(); }

   private:
    friend class Batches;
    explicit Iterator(Batches* batches) : batches_(batches) {}
    Batches* batches_;
  };

  Batches(const Dataset& dataset, Context& context, const BatchOptions& options);

  Iterator begin() {
    load(index_ = 0);
    return Iterator(this);
  }
  std::default_sentinel_t end() const { return {}; }
  std::int64_t size() const { return count_; }  // number of batches

 private:
  void load(std::int64_t index);

  Dataset dataset_;
  Context* context_;
  BatchOptions options_;
  std::int64_t count_ = 0, index_ = 0;
  Tensor order_;  // int64 [N]: the examples' numbers, shuffled; nothing when they come as they are
  Batch batch_;
};

}  // namespace tapestry::data
