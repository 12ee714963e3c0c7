// Saves and loads the state of models: parameters and buffers, under PyTorch's names and in PyTorch's layouts.
#pragma once

#include <map>
#include <span>
#include <string>

#include "io/safetensors.h"
#include "layers/state.h"

namespace tapestry::io {

struct LoadOptions {
  bool partial = false;  // tensors that only the model or only the file has are left alone, instead of an error
};

namespace detail {
void require_built(std::span<const StateEntry> state, const char* action);
void save_state(std::span<const StateEntry> state, const std::string& path,
                std::map<std::string, std::string> metadata);
void load_state(std::span<const StateEntry> state, std::span<const NamedTensor> tensors, const std::string& source,
                LoadOptions options);
}  // namespace detail

// Writes a safetensors file in one atomic step; metadata gets "format": "pt". A tensor that several layers share is
// written once, under its first name. ArgumentError before the model is built.
template <tapestry::detail::Stateful Model>
void save(const Model& model, const std::string& path, std::map<std::string, std::string> metadata = {}) {
  detail::save_state(state(model), path, std::move(metadata));
}

// Overwrites the numbers of a built model with tensors in the layouts of files; errors as load(), under the name
// `source`.
template <tapestry::detail::Stateful Model>
void load_tensors(Model& model, std::span<const NamedTensor> tensors, const std::string& source,
                  LoadOptions options = {}) {
  detail::load_state(state(model), tensors, source, options);
}

// Overwrites the numbers of a built model with those of a safetensors file. FileError, which lists every tensor that
// is missing, unknown, or of another shape or type, leaves the model as it was. ArgumentError before it is built.
template <tapestry::detail::Stateful Model>
void load(const Context& context, Model& model, const std::string& path, LoadOptions options = {}) {
  detail::require_built(state(model), "load");
  load_tensors(model, load_safetensors(context, path).tensors, path, options);
}

}  // namespace tapestry::io
