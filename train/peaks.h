// What the machine can do at most, measured: the roofs that profiles and benchmarks compare with.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/context.h"
#include "train/machine.h"

namespace tapestry::train {

// Plain loops over pieces that stay in one level of memory, on all threads: bytes/s.
struct Bandwidth {
  std::string level;    // "L1", "L2", "L3", "memory"
  double capacity = 0;  // bytes that the caches of the level hold for all threads together; infinite for memory
  double read = 0;      // of reading alone
  double write = 0;     // of writing alone
  double copy = 0;      // of reading and writing, both counted

  // The least time in which this level reads and writes what an op must.
  double seconds(const OpCost& cost) const {
    return std::max({(cost.bytes - cost.written) / read, cost.written / write, cost.bytes / best()});
  }
  double best() const { return std::max({read, write, copy}); }
};

struct Peaks {
  std::string cpu, target;
  int threads = 1;
  std::string precision = "highest";   // of which unit_flops is
  double thread_flops = 0;             // fp32 multiply-adds a second on one thread, two operations each
  double flops = 0;                    // on all threads
  std::string unit = "fma";            // what multiplies
  double unit_flops = 0;               // of a matrix unit in products as exact as the precision asks; 0: there is none
  std::vector<Bandwidth> levels = {};  // smallest first, memory last

  // The smallest level that holds `bytes`.
  const Bandwidth& level_for(double bytes) const;
  // The least time in which an op can be computed, with this share of its products on the matrix unit.
  double seconds(const OpCost& cost, double unit_share) const {
    const double on_unit = unit_share * cost.products;
    return (cost.flops - on_unit) / flops + (on_unit > 0 ? on_unit / std::max(flops, unit_flops) : 0);
  }
  // FLOP/s that work of this intensity (operations a byte) can reach: the lower of two roofs (Williams, Waterman and
  // Patterson, "Roofline", CACM 2009).
  double roof(double intensity, const Bandwidth& level) const;
};

// FLOP/s of multiply-adds in registers on all threads of the context, at this moment: the best of several runs.
double fma_peak(const Context& context);

// "highest", "high" or "medium".
std::string_view precision_name(Precision precision);

// Measures everything with the context's target, precision and threads: about a second. The first call with a CPU,
// target, precision and number of threads measures, later ones in the same process repeat what it found.
Peaks measure_peaks(const Context& context, const Machine& machine);

// A JSON object on one line.
std::string to_json(const Peaks& peaks);
// What to_json wrote. FileError, which names the path, when the file cannot be read or holds anything else.
Peaks load_peaks(const std::string& path);
void save_peaks(const std::string& path, const Peaks& peaks);  // EnvironmentError when it cannot be written

}  // namespace tapestry::train
