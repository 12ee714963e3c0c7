#include "data/cifar.h"

#include <fmt/format.h>

#include <array>

#include "data/find.h"
#include "data/gzip.h"

namespace tapestry::data {
namespace {

constexpr std::size_t kPixels = 32 * 32, kChannels = 3, kImage = kPixels * kChannels;
constexpr std::int64_t kMostImages = 1 << 20;  // of a file; the real ones have 50000 at most

// The labels in front of each image, and how many classes they tell apart.
struct Labels {
  const char* name;
  std::size_t classes;
};
constexpr std::array<Labels, 1> kLabels10{{{"labels", 10}}};
constexpr std::array<Labels, 2> kLabels100{{{"coarse labels", 20}, {"fine labels", 100}}};

const std::vector<std::string> kClasses10{"airplane", "automobile", "bird",  "cat",  "deer",
                                          "dog",      "frog",       "horse", "ship", "truck"};

const std::vector<std::string> kGroups100{"aquatic_mammals",
                                          "fish",
                                          "flowers",
                                          "food_containers",
                                          "fruit_and_vegetables",
                                          "household_electrical_devices",
                                          "household_furniture",
                                          "insects",
                                          "large_carnivores",
                                          "large_man-made_outdoor_things",
                                          "large_natural_outdoor_scenes",
                                          "large_omnivores_and_herbivores",
                                          "medium_mammals",
                                          "non-insect_invertebrates",
                                          "people",
                                          "reptiles",
                                          "small_mammals",
                                          "trees",
                                          "vehicles_1",
                                          "vehicles_2"};

const std::vector<std::string> kClasses100{
    "apple",      "aquarium_fish", "baby",         "bear",       "beaver",      "bed",         "bee",
    "beetle",     "bicycle",       "bottle",       "bowl",       "boy",         "bridge",      "bus",
    "butterfly",  "camel",         "can",          "castle",     "caterpillar", "cattle",      "chair",
    "chimpanzee", "clock",         "cloud",        "cockroach",  "couch",       "crab",        "crocodile",
    "cup",        "dinosaur",      "dolphin",      "elephant",   "flatfish",    "forest",      "fox",
    "girl",       "hamster",       "house",        "kangaroo",   "keyboard",    "lamp",        "lawn_mower",
    "leopard",    "lion",          "lizard",       "lobster",    "man",         "maple_tree",  "motorcycle",
    "mountain",   "mouse",         "mushroom",     "oak_tree",   "orange",      "orchid",      "otter",
    "palm_tree",  "pear",          "pickup_truck", "pine_tree",  "plain",       "plate",       "poppy",
    "porcupine",  "possum",        "rabbit",       "raccoon",    "ray",         "road",        "rocket",
    "rose",       "sea",           "seal",         "shark",      "shrew",       "skunk",       "skyscraper",
    "snail",      "snake",         "spider",       "squirrel",   "streetcar",   "sunflower",   "sweet_pepper",
    "table",      "tank",          "telephone",    "television", "tiger",       "tractor",     "train",
    "trout",      "tulip",         "turtle",       "wardrobe",   "whale",       "willow_tree", "wolf",
    "woman",      "worm"};

struct Images {
  std::vector<std::uint8_t> bytes;
  std::vector<std::int64_t> labels;
};

// Appends the images of one file: for each its labels, then all red values, all green ones, all blue ones. Of the
// labels the one of number `chosen` is kept.
void read_file(const std::string& path, std::span<const Labels> labels, std::size_t chosen, Images& images) {
  FileReader file(path);
  std::array<std::uint8_t, 2 + kImage> space{};
  const std::span<std::uint8_t> record = std::span(space).first(labels.size() + kImage);
  for (std::int64_t image = 0;; ++image) {
    const std::uint64_t start = file.position();
    const std::size_t got = file.read(record);
    if (got == 0 && image > 0) return;
    if (got < record.size())
      file.fail(fmt::format("whole images of {} bytes", record.size()), fmt::format("{} bytes at byte {}", got, start));
    if (image == kMostImages) file.fail(fmt::format("at most {} images", kMostImages), "more");
    for (std::size_t k = 0; k < labels.size(); ++k)
      if (record[k] >= labels[k].classes)
        file.fail(fmt::format("{} from 0 to {}", labels[k].name, labels[k].classes - 1),
                  fmt::format("{} at byte {}, of image {}", record[k], start + k, image));
    images.labels.push_back(record[chosen]);
    const std::span<const std::uint8_t> planes = record.subspan(labels.size());
    for (std::size_t pixel = 0; pixel < kPixels; ++pixel)
      for (std::size_t channel = 0; channel < kChannels; ++channel)
        images.bytes.push_back(planes[channel * kPixels + pixel]);
  }
}

Dataset read_files(std::span<const std::string> paths, std::span<const Labels> labels, std::size_t chosen,
                   const DatasetInfo& info) {
  Images images;
  for (const std::string& path : paths) read_file(path, labels, chosen, images);
  const Shape shape{static_cast<std::int64_t>(images.labels.size()), 32, 32, 3};
  return Dataset(std::move(images.bytes), shape, std::move(images.labels), info);
}

// The last file has the test images.
Split read(const DataSource& source, const std::string& directory, std::span<const Labels> labels, std::size_t chosen,
           const DatasetInfo& info) {
  const std::vector<std::string> paths = find(source, directory).paths;
  const std::span<const std::string> train = std::span(paths).first(paths.size() - 1);
  return {read_files(train, labels, chosen, info), read_files(std::span(paths).last(1), labels, chosen, info)};
}

}  // namespace

// The means and deviations of both are those of all training pixels, channel by channel, as commonly published.
Split cifar10(const CifarOptions& options) {
  const DataSource source{"cifar-10",
                          "cifar-10-batches-bin",
                          "unpack https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz there",
                          {{"data_batch_1.bin"},
                           {"data_batch_2.bin"},
                           {"data_batch_3.bin"},
                           {"data_batch_4.bin"},
                           {"data_batch_5.bin"},
                           {"test_batch.bin"}}};
  return read(
      source, options.directory, kLabels10, 0,
      {.name = "cifar-10", .classes = kClasses10, .mean = {0.4914, 0.4822, 0.4465}, .std = {0.2470, 0.2435, 0.2616}});
}

Split cifar100(const Cifar100Options& options) {
  const DataSource source{"cifar-100",
                          "cifar-100-binary",
                          "unpack https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz there",
                          {{"train.bin"}, {"test.bin"}}};
  return read(source, options.directory, kLabels100, options.coarse ? 0 : 1,
              {.name = "cifar-100",
               .classes = options.coarse ? kGroups100 : kClasses100,
               .mean = {0.5071, 0.4865, 0.4409},
               .std = {0.2673, 0.2564, 0.2762}});
}

}  // namespace tapestry::data
