#include "layers/sequential.h"

#include <fmt/format.h>

#include <utility>

#include "kernels/error.h"

namespace tapestry {
namespace {

// Lays what has numbers into one block for parameters and one for buffers.
void lay_flat(const Sequential& model) {
  ParameterList parameters, buffers;
  for (StateEntry& entry : model.state())
    if (entry.value()) (entry.is_buffer ? buffers : parameters).push_back(std::move(entry.state));
  flatten(parameters);
  flatten(buffers);
}

}  // namespace

Sequential::Sequential(const Sequential& other)
    : layers_(other.layers_), input_(other.input_), summary_(other.summary_), built_(other.built_) {
  if (built_) lay_flat(*this);
}

Sequential::Sequential(Sequential&& other) noexcept
    : layers_(std::move(other.layers_)),
      input_(std::exchange(other.input_, std::nullopt)),
      summary_(std::move(other.summary_)),
      built_(std::exchange(other.built_, false)) {}

Sequential& Sequential::operator=(Sequential&& other) noexcept {
  layers_ = std::move(other.layers_);
  input_ = std::exchange(other.input_, std::nullopt);
  summary_ = std::move(other.summary_);
  built_ = std::exchange(other.built_, false);
  return *this;
}

Sequential& Sequential::append(AnyLayer layer) {
  layers_.push_back(std::move(layer));
  built_ = false;
  return *this;
}

Sequential& Sequential::replace(std::size_t index, AnyLayer layer) {
  check_index(index);
  layers_[index] = std::move(layer);
  built_ = false;
  return *this;
}

void Sequential::build_from(Context& context, const Flow& input, DType dtype) {
  if (built_) throw ArgumentError("build: the model was built before");
  // A model that grew since it was built keeps the numbers that it has.
  summary_ = detail::build_model(context, detail::LayerRef(*this), input, dtype, detail::WhenBuilt::extend);
  built_ = true;
}

Flow Sequential::build(Builder& b, const Flow& in) {
  if (input_ && in.shape && *input_ != *in.shape && !in.guessed)
    throw ShapeError(fmt::format("build: the model starts with Input{}, but it is given {}", to_string(*input_),
                                 to_string(*in.shape)));
  Flow flow = input_ ? Flow(*input_) : in;
  for (AnyLayer& layer : layers_) flow = layer.build(b, flow);
  return flow;
}

void Sequential::visit(Visitor& v) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i].visit(fmt::format("{}", i), v);
}

Var Sequential::operator()(const Var& x, Mode mode, const Tail& tail) const {
  if (layers_.empty()) throw ArgumentError("the model has no layers: nothing was added, or it was moved from");
  return detail::run_passes(layers_, x, mode, tail);
}

Part Sequential::part() const {
  Part pass;
  Tail taken;
  for (const AnyLayer& layer : layers_)
    if (const Part next = layer.part(); !pass.take(next, taken)) pass.stage = next.stage;
  return pass;
}

const AnyLayer& Sequential::operator[](std::size_t index) const {
  check_index(index);
  return layers_[index];
}

void Sequential::check_index(std::size_t index) const {
  if (index >= layers_.size())
    throw ArgumentError(fmt::format("Sequential: there is no layer {}, it has {}", index, layers_.size()));
}

const Summary& Sequential::layer_summary() const {
  if (!built_) throw ArgumentError("summary: the model is not built, call build() first");
  return summary_;
}

void Sequential::fail_type(std::size_t index, std::string_view wanted) const {
  throw ArgumentError(
      fmt::format("Sequential: layer {} is of type {}, not {}", index, (*this)[index].describe(), wanted));
}

}  // namespace tapestry
