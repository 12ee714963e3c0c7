// A layer of any type as a value, for what holds layers that it does not know. Copies are deep.
#pragma once

#include <memory>
#include <string_view>
#include <typeinfo>
#include <utility>

#include "layers/builder.h"
#include "layers/fusion.h"

namespace tapestry {

// With the visitor, one of the two virtual interfaces in the house.
class LayerValue {
 public:
  virtual ~LayerValue() = default;

  virtual std::unique_ptr<LayerValue> clone() const = 0;
  virtual Var forward(const Var& x, Mode mode, const Tail& tail) = 0;
  virtual Part part() const = 0;
  virtual Flow build(Builder& builder, const Flow& in) = 0;
  virtual void visit(std::string_view name, Visitor& visitor) = 0;
  virtual std::string_view describe() const = 0;  // "Linear"
  virtual const std::type_info& type() const = 0;
  virtual void* object() = 0;
};

class AnyLayer;

namespace detail {
template <class L>
concept NewlyHeld = !std::same_as<std::remove_cvref_t<L>, AnyLayer> && Layer<std::remove_cvref_t<L>>;
}

class AnyLayer {
 public:
  template <detail::NewlyHeld L>
  AnyLayer(L&& layer)  // NOLINT: implicit
      : value_(std::make_unique<Held<std::remove_cvref_t<L>>>(std::forward<L>(layer))) {}
  AnyLayer(const AnyLayer& other) : value_(other.value_ ? other.value_->clone() : nullptr) {}
  AnyLayer(AnyLayer&&) noexcept = default;  // what was moved from holds nothing: to use it is an ArgumentError
  AnyLayer& operator=(AnyLayer other) noexcept {
    value_.swap(other.value_);
    return *this;
  }

  Var operator()(const Var& x, Mode mode, const Tail& tail = {}) const { return held().forward(x, mode, tail); }
  Part part() const { return held().part(); }
  Flow build(Builder& builder, const Flow& in) { return held().build(builder, in); }
  // Visits the layer within under `name`; without a name, as itself. To look at the state changes nothing.
  void visit(std::string_view name, Visitor& visitor) const { held().visit(name, visitor); }
  void visit(Visitor& visitor) const { held().visit("", visitor); }
  std::string_view describe() const { return held().describe(); }

  template <Layer L>
  bool holds() const {
    return held().type() == typeid(L);
  }
  // The layer itself, or nullptr when it is of another type.
  template <Layer L>
  const L* get() const {
    return holds<L>() ? static_cast<const L*>(held().object()) : nullptr;
  }
  template <Layer L>
  L* get() {
    return const_cast<L*>(std::as_const(*this).template get<L>());
  }

 private:
  template <class L>
  class Held : public LayerValue {
    static_assert(std::is_copy_constructible_v<L>, "a layer must be copyable");

   public:
    explicit Held(const L& layer) : layer_(layer) {}
    explicit Held(L&& layer) : layer_(std::move(layer)) {}

    std::unique_ptr<LayerValue> clone() const override { return std::make_unique<Held>(layer_); }
    Var forward(const Var& x, Mode mode, const Tail& tail) override { return apply(layer_, x, mode, tail); }
    Part part() const override { return part_of(layer_); }
    Flow build(Builder& builder, const Flow& in) override { return builder(layer_, in); }
    void visit(std::string_view name, Visitor& visitor) override { visitor(name, layer_); }
    std::string_view describe() const override { return detail::type_name<L>(); }
    const std::type_info& type() const override { return typeid(L); }
    void* object() override { return &layer_; }

   private:
    L layer_;
  };

  LayerValue& held() const {
    if (!value_) fail_moved();
    return *value_;
  }
  [[noreturn]] static void fail_moved();

  std::unique_ptr<LayerValue> value_;
};

}  // namespace tapestry
