// What a training run reports, as JSON lines.
#pragma once

#include <cstdint>
#include <string>

namespace tapestry::train {

struct HistoryEntry {
  std::int64_t step = 0;  // steps done
  int epoch = 0;
  const char* split = "train";  // "train" and "test" for a whole epoch, "batch" for one step
  double loss = 0, accuracy = 0;
  double lr = 0;
  double images_per_second = 0;
  double seconds = 0;  // since the start of the run
};

// EnvironmentError, which names the path and the reason, when the file could not be replaced by a new one there. The
// folder is made when it is missing.
void require_writable(const std::string& path);

// A file with one object a line: {"step", "epoch", "split", "loss", "acc", "lr", "img_s", "wall_s"}.
class History {
 public:
  History() = default;  // writes nothing
  // Starts the file anew. EnvironmentError, which names the path and the reason, when that is not possible, for
  // instance while another run writes there.
  explicit History(const std::string& path);
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  void write(const HistoryEntry& entry);  // a whole line at once; EnvironmentError when the disk refuses it

 private:
  std::string path_;
  int file_ = -1;
};

}  // namespace tapestry::train
