// What a profile says: as a table, as JSON, as a trace for a viewer, as a roofline plot.
#pragma once

#include <string>

#include "train/peaks.h"
#include "train/profile.h"

namespace tapestry::train {

// A row held against the machine. Rates are 0 where the row computes or moves nothing that is known.
struct RowRates {
  double flops = 0;            // a second
  double bytes = 0;            // a second, of the traffic that the row cannot avoid
  double intensity = 0;        // operations a byte
  double roof_share = 0;       // the time that the machine needs at least, over the time that was taken
  std::string level = "";      // of memory, that holds what one call moves; its bandwidth is the roof
  bool compute_bound = false;  // whether arithmetic is the roof, not bandwidth
  double unit_share = 0;       // of the products, that a matrix unit computed
  double packing_share = 0;    // of the time of all threads, in copies of operands for tiles
  double imbalance = 0;        // of shared work: the busiest thread's time over the mean of all, less 1; 0: none shared
};

RowRates rates(const ProfileRow& row, const Peaks& peaks);

// What the numbers belong to; each row of the JSON says it again.
struct ProfileRun {
  std::string model = "model";
  std::int64_t batch_size = 1;
  std::string precision = "highest";
  std::string unit = "fma";  // what multiplied
};

// A line of what ran, the rows by falling time, sums, and the peaks.
std::string profile_table(const Profile& profile, const Peaks& peaks, const ProfileRun& run);

// One JSON object a line: {"kind": "op"} for each row, by falling time, then "total" and "peaks".
std::string profile_json(const Profile& profile, const Peaks& peaks, const ProfileRun& run);

// The calls as a Chrome trace, which Perfetto and chrome://tracing show: a JSON object.
std::string chrome_trace(const Profile& profile, const ProfileRun& run);
// The same, compressed by gzip, which both open too. EnvironmentError, which names the path, when it cannot be written.
void save_chrome_trace(const std::string& path, const Profile& profile, const ProfileRun& run);

// The roofs of the machine over intensity, and the rows under them, forward and backward: an SVG file. Rows without
// operations or traffic have no place in it.
std::string roofline_plot(const Profile& profile, const Peaks& peaks, const ProfileRun& run);
void save_roofline_plot(const std::string& path, const Profile& profile, const Peaks& peaks, const ProfileRun& run);

// What save_profile wrote.
struct ProfileFiles {
  std::string table, trace, roofline;
};
// All three in a folder: profile.txt, trace.json.gz, roofline.svg. EnvironmentError when one cannot be written.
ProfileFiles save_profile(const std::string& folder, const Profile& profile, const Peaks& peaks, const ProfileRun& run);

}  // namespace tapestry::train
