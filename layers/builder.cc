#include "layers/builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/error.h"

namespace tapestry {
namespace {

// What a layer visits itself, without what is within the layers that it visits.
class Direct : public Visitor {
 public:
  explicit Direct(const detail::LayerRef& layer) { layer.visit(*this); }

  std::vector<detail::LayerRef> layers;
  std::int64_t parameters = 0;  // elements

 protected:
  void visit_parameter(Parameter& parameter) override { parameters += parameter.value().size(); }
  void visit_buffer(Buffer&) override {}
  void visit_layer(const detail::LayerRef& layer) override { layers.push_back(layer); }
};

std::string describe(const Flow& flow) { return flow.shape ? to_string(*flow.shape) : "of unknown shape"; }

}  // namespace

// Gives parameters, buffers and layers their paths, and lists them.
class Builder::Namer : public Visitor {
 public:
  explicit Namer(Builder& builder) : builder_(builder) {}

  void visit_layer(const detail::LayerRef& layer) override {
    if (Location* where = layer.where()) where->layer = builder_.context_.intern(path());
    builder_.layers_.push_back({layer, path()});
    layer.visit(*this);
  }

 protected:
  void visit_parameter(Parameter& parameter) override { add(builder_.parameters_, parameter); }
  void visit_buffer(Buffer& buffer) override { add(builder_.buffers_, buffer); }

 private:
  void add(ParameterList& list, const StateRef& state) {
    if (std::ranges::find(list, state) != list.end())
      throw ArgumentError(fmt::format("build: '{}' and '{}' are the same", state.name(), path()));
    state.cell()->name = path();
    state.cell()->names = builder_.context_.names();
    list.push_back(state);
  }

  Builder& builder_;
};

void Builder::declare(detail::Cell& cell, const Shape& shape, DType dtype, const std::function<Tensor()>& first) {
  if (!cell.value) {
    try {
      cell.value = first();
    } catch (const ShapeError& error) {
      throw ShapeError(fmt::format("build: '{}': {}", cell.name, error.what()));
    }
    fresh_.push_back(&cell);
    return;
  }
  if (cell.value.shape() != shape)
    throw ShapeError(fmt::format("build: '{}' was built as {} before, here it would be {}", cell.name,
                                 to_string(cell.value.shape()), to_string(shape)));
  if (cell.value.dtype() != dtype)
    throw ArgumentError(fmt::format("build: '{}' was built with another element type before", cell.name));
}

void Builder::parameter(Parameter& parameter, const Shape& shape, const Initializer& initializer,
                        const ParameterOptions& options) {
  const auto found = std::ranges::find(parameters_, parameter);
  if (found == parameters_.end()) fail_unnamed("a parameter");
  const auto number = static_cast<std::uint64_t>(found - parameters_.begin());
  parameter.cell()->layout = options.layout;
  parameter.cell()->flattened = options.flattened;
  declare(*parameter.cell(), shape, dtype_, [&] {
    return initialize(initializer, context_, shape, options.fans.value_or(fans_of(shape)), number, dtype_);
  });
}

void Builder::buffer(Buffer& buffer, const Shape& shape, const Initializer& initializer, DType dtype,
                     const Shape& flattened) {
  const auto found = std::ranges::find(buffers_, buffer);
  if (found == buffers_.end()) fail_unnamed("a buffer");
  constexpr std::uint64_t kBuffers = std::uint64_t{1} << 40;  // more than there can be parameters
  const auto number = kBuffers + static_cast<std::uint64_t>(found - buffers_.begin());
  buffer.cell()->flattened = flattened;
  declare(*buffer.cell(), shape, dtype,
          [&] { return initialize(initializer, context_, shape, fans_of(shape), number, dtype); });
}

void Builder::fail_unnamed(std::string_view what) const {
  throw ArgumentError(fmt::format("build: {} has {} that its visit() does not name", building_, what));
}

Flow Builder::nested(const detail::LayerRef& layer, const Flow& in) {
  const auto named = std::ranges::find_if(layers_, [&](const NamedLayer& known) { return known.layer.same(layer); });
  if (named == layers_.end()) fail_unnamed(fmt::format("a layer {}", layer.type()));
  const std::size_t row = summary_.layers.size();
  summary_.layers.push_back({named->path, std::string(layer.type()), std::nullopt, 0, {}});
  const std::string outer = std::exchange(
      building_, named->path.empty() ? std::string(layer.type()) : fmt::format("{} {}", layer.type(), named->path));
  Flow out = layer.build(*this, in);
  building_ = outer;

  LayerSummary& line = summary_.layers[row];
  line.output = out.shape;
  line.parameters = Direct(layer).parameters;
  const std::optional<Cost> cost = in.shape && out.shape ? layer.cost(*in.shape, *out.shape) : std::nullopt;
  if (cost) {
    line.cost = *cost;
  } else if (row + 1 == summary_.layers.size()) {
    const auto elements = static_cast<double>(out.shape ? out.shape->size() : 0);
    line.cost = {elements, elements * static_cast<double>(dtype_bytes(dtype_))};
  } else if (line.parameters == 0) {
    summary_.layers.erase(summary_.layers.begin() +
                          static_cast<std::ptrdiff_t>(row));  // the lines of its parts have all that it has
  }
  return out;
}

Flow Builder::chain(const detail::LayerRef& layer, const Flow& in) {
  const Direct direct(layer);
  Flow flow = in;
  for (const detail::LayerRef& part : direct.layers) {
    flow.guessed = flow.guessed || direct.layers.size() > 1;  // the order of calls is not known
    flow = nested(part, flow);
  }
  if (!in.shape) return {};
  constexpr std::int64_t kSamples = 2;  // one has no variance over the batch
  const Var y = layer.forward(context_.input(context_.zeros(in.shape->prepend(kSamples), dtype_)), Mode::eval);
  if (!y.value()) return {};
  if (y.shape().rank() == 0 || y.shape()[0] != kSamples)
    throw ShapeError(
        fmt::format("build: {} gives {} for two samples of {}; the first axis must stay the batch; a layer that does "
                    "otherwise needs a build()",
                    layer.type(), to_string(y.shape()), to_string(*in.shape)));
  Flow out(y.shape().drop_front());
  if (out.shape == flow.shape) out.flattened = flow.flattened;
  return out;
}

std::int64_t Builder::size(std::string_view option, std::int64_t given, const Flow& in, int axis,
                           const Location& where) const {
  if (given < 0) fail<ArgumentError>(where, "build", fmt::format("{} is {}, it must be positive", option, given));
  if (!in.shape || (in.guessed && given > 0)) {
    if (given == 0)
      fail<ShapeError>(where, "build",
                       fmt::format("{} is not given, and the shape of the input is not known: say .{} = ..., start the "
                                   "model with Input{{...}}, or give build() the shape",
                                   option, option));
    return given;
  }
  if (axis < -in.shape->rank() || axis >= in.shape->rank())
    fail<ShapeError>(where, "build", fmt::format("the input {} has no axis {}", describe(in), axis));
  const std::int64_t found = (*in.shape)[axis];
  if (given > 0 && given != found)
    fail<ShapeError>(where, "build",
                     fmt::format("{} is {}, but the layer before gives {}, whose axis {} is {}", option, given,
                                 describe(in), axis, found));
  return found;
}

Flow Builder::replace(const Flow& in, int axis, std::int64_t size) {
  if (!in.shape) return {};
  return Flow(in.shape->with(axis, size), in.guessed);
}

void Builder::require_declared() const {
  for (const ParameterList* list : {&parameters_, &buffers_})
    for (const StateRef& state : *list)
      if (!state.built())
        throw ArgumentError(
            fmt::format("build: '{}' got no shape: its layer needs a build() that declares it", state.name()));
}

namespace detail {

Flow build_chain(Builder& builder, const LayerRef& layer, const Flow& in) { return builder.chain(layer, in); }

Summary build_model(Context& context, const LayerRef& model, const Flow& input, DType dtype, WhenBuilt when_built) {
  Builder builder(context, dtype);
  Builder::Namer(builder).visit_layer(model);
  if (when_built == WhenBuilt::refuse && !builder.parameters_.empty() &&
      std::ranges::all_of(builder.parameters_, &StateRef::built) &&
      std::ranges::all_of(builder.buffers_, &StateRef::built))
    throw ArgumentError("build: the model was built before");
  try {
    builder.summary_.output = builder.nested(model, input).shape;
    builder.require_declared();
    flatten(builder.parameters_);
    flatten(builder.buffers_);
  } catch (...) {
    for (Cell* cell : builder.fresh_) cell->value = Tensor();
    throw;
  }
  return std::move(builder.summary_);
}

}  // namespace detail
}  // namespace tapestry
