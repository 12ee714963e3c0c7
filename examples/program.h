// What the training programs of this course share: options under the names of PyTorch's examples, exit codes, reports.
#pragma once

#include <tapestry.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace example {

struct Options {
  std::string dataset = "fashion-mnist", data_dir = "";  // no dataset: the program makes its own
  int epochs = 10;
  std::int64_t train_images = 0;  // the first of them are taken; 0: all
  std::int64_t batch_size = 128, test_batch_size = 500;
  std::vector<std::int64_t> batch_sizes = {};  // of a program that compares them: takes the place of batch_size
  std::string optimizer = "adamw";
  double lr = 1e-3, momentum = 0.9, weight_decay = 1e-2, clip_norm = 0, label_smoothing = 0;
  std::uint64_t seed = 1;
  int threads = 0;
  std::string precision = "highest";
  std::string out = "", save_model = "";
  std::int64_t log_interval = 100;
  std::int64_t validate = 0;  // that many training images are held out and take the place of the test images
  bool dry_run = false, json = false, quiet = false;
  std::shared_ptr<tapestry::train::Profiler> profiler = nullptr;  // where the steps of training shall be profiled
};

// Parses the command line on top of `defaults` and calls body. Returns the program's exit code: 0 good, 2 usage, 3 bad
// file, 4 environment, 5 numeric stop, 128 + signal. An error is one line on stderr.
int run(int argc, char** argv, const std::string& description, Options defaults,
        const std::function<int(const Options&)>& body);

tapestry::Context make_context(const Options& options);

// The images that the options ask for: training, and test or held out.
tapestry::data::Split load(const Options& options);
// Of data that the program made itself.
tapestry::data::Split shorten(tapestry::data::Split split, const Options& options);

// Trains with the optimizer of the options under a learning rate that warms up and then falls along a cosine, then
// reports on stdout. Returns the exit code.
int train(tapestry::Context& context, tapestry::Sequential& model, const tapestry::data::Split& data,
          const Options& options);

}  // namespace example
