// One epoch's batches, as a range: for (const auto& [images, labels] : train.batches(context, {.size = 128})) ...
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>

#include "autodiff/context.h"

namespace tapestry::data {

struct BatchOptions {
  std::int64_t size = 128;
  std::int64_t epoch = 1;  // with the context's seed it determines the order
  bool shuffle = true;
  bool drop_last = false;  // leave out a last batch that is smaller than `size`
  bool normalize = true;   // (x - mean) / std of the data set
  Location where = std::source_location::current();
};

struct Batch {
  Tensor images;  // float32 [B, H, W, C]
  Tensor labels;  // int64 [B]
};

namespace detail {
struct Examples;

// The examples [begin, end) of those that a data set was made of.
struct Part {
  std::shared_ptr<const Examples> examples = nullptr;
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
};
}  // namespace detail

// A range to go through once, which Dataset::batches() makes. Its memory comes from the context's arena, and a batch's
// goes back there with its last handle: a steady step calls no heap.
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

  Batches(detail::Part part, Context& context, const BatchOptions& options);

  Iterator begin() {
    load(index_ = 0);
    return Iterator(this);
  }
  std::default_sentinel_t end() const { return {}; }
  std::int64_t size() const { return count_; }  // number of batches

 private:
  void load(std::int64_t index);

  detail::Part part_;
  Context* context_;
  BatchOptions options_;
  std::int64_t count_ = 0, index_ = 0;
  Tensor order_;  // int64 [N]: the examples' numbers, shuffled; nothing when they come as they are
  Batch batch_;
};

}  // namespace tapestry::data
