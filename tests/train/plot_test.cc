#include "train/plot.h"

#include <fmt/format.h>

#include <array>
#include <clocale>
#include <cmath>
#include <filesystem>
#include <limits>
#include <regex>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/files.h"

using namespace tapestry;
using namespace tapestry::test;
using train::line_plot;
using train::PlotOptions;
using train::PlotSeries;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();

std::vector<PlotSeries> two_lines() {
  return {{"batch norm", {2, 4, 8, 16, 32}, {18.5, 14.25, 12, 11.5, 11}},
          {"group norm", {2, 4, 8, 16, 32}, {11.75, 11.5, 11.5, 11.25, 11.5}}};
}

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// Elements nest, attributes stand in quotes, no stray "<" or "&", and no number is wrong.
void require_sound(const std::string& svg) {
  INFO(svg);
  std::vector<std::string> open;
  const std::regex element(R"re(<(/?)(\w+)((?: [\w-]+="[^"<]*")*)(/?)>)re");
  const std::string bare = std::regex_replace(svg, element, "");
  REQUIRE(bare.find_first_of("<>") == std::string::npos);
  REQUIRE(count(svg, "&") == count(svg, "&amp;") + count(svg, "&lt;") + count(svg, "&gt;") + count(svg, "&quot;"));
  for (std::sregex_iterator it(svg.begin(), svg.end(), element); it != std::sregex_iterator(); ++it) {
    if ((*it)[1].length() != 0) {
      REQUIRE((!open.empty() && open.back() == (*it)[2].str()));
      open.pop_back();
    } else if ((*it)[4].length() == 0) {
      open.push_back((*it)[2].str());
    }
  }
  REQUIRE(open.empty());
  const std::regex number(R"([ "LM(](nan|-?inf)\b)");
  REQUIRE_FALSE(std::regex_search(svg, number));
}

// The texts of all <text> elements with this anchor: "end" are those of the y axis, "middle" of the x axis and titles.
std::vector<std::string> texts(const std::string& svg, const std::string& anchor) {
  std::vector<std::string> found;
  const std::regex element("<text [^>]*text-anchor=\"" + anchor + "\"[^>]*>([^<]*)</text>");
  for (std::sregex_iterator it(svg.begin(), svg.end(), element); it != std::sregex_iterator(); ++it)
    found.push_back((*it)[1].str());
  return found;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("plot: lines, marks, ticks and labels") {
  const std::string svg =
      line_plot(two_lines(), {.title = "Error", .x_label = "batch size", .y_label = "test error, %", .log2_x = true});
  require_sound(svg);
  REQUIRE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" "));
  REQUIRE(texts(svg, "middle") == Texts{"2", "4", "8", "16", "32", "batch size", "test error, %"});
  REQUIRE(texts(svg, "end") == Texts{"10", "12", "14", "16", "18", "20"});
  REQUIRE(svg.find(">Error</text>") != std::string::npos);
  REQUIRE((svg.find(">batch norm</text>") != std::string::npos && svg.find(">group norm</text>") != std::string::npos));
  REQUIRE(svg.find("<title>batch norm: 4, 14.25</title>") != std::string::npos);
  REQUIRE((count(svg, "#0072b2") == 8 && count(svg, "#d55e00") == 8));  // a line, five marks, two in the legend
  // [72, 616] with a margin of 4 % on both sides, and 18.5 between 10 and 20 of 290 points.
  const double left = 72 + 544 * 0.04 / 1.08, top = 40 + 12 + 18;
  REQUIRE(svg.find(fmt::format("<path d=\"M{:.1f} {:.1f}L", left, top + 290 * 0.15)) != std::string::npos);
  for (const std::string_view refused : {"<script", "href", "url(", "<style", "foreignObject"})
    REQUIRE(svg.find(refused) == std::string::npos);
}

TEST_CASE("plot: a falling x axis runs from right to left") {
  const std::array<PlotSeries, 1> line{PlotSeries{"a", {0, 10}, {0, 1}}};
  REQUIRE(line_plot(line).find("<path d=\"M72.0 334.0L616.0 44.0\"") == std::string::npos);
  REQUIRE(line_plot(line).find("<path d=\"M72.0 332.0L616.0 42.0\"") != std::string::npos);
  REQUIRE(line_plot(line, {.falling_x = true}).find("<path d=\"M616.0 332.0L72.0 42.0\"") != std::string::npos);
}

TEST_CASE("plot: ticks are round numbers at every scale") {
  const auto ticks = [](double low, double high) {
    const std::array<PlotSeries, 1> line{PlotSeries{"a", {0, 1}, {low, high}}};
    const std::string svg = line_plot(line);
    require_sound(svg);
    return texts(svg, "end");
  };
  REQUIRE(ticks(0, 1) == Texts{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"});
  REQUIRE(ticks(-3, 4) == Texts{"-4", "-2", "0", "2", "4"});
  REQUIRE(ticks(0.0012, 0.0031) == Texts{"0.0010", "0.0015", "0.0020", "0.0025", "0.0030", "0.0035"});
  REQUIRE(ticks(0, 480'000) == Texts{"0", "100000", "200000", "300000", "400000", "500000"});
  REQUIRE(ticks(0, 3e9) == Texts{"0e+00", "1e+09", "2e+09", "3e+09"});
  REQUIRE(ticks(7, 7) == Texts{"6.0", "6.5", "7.0", "7.5", "8.0"});
  REQUIRE(ticks(0, 0) == Texts{"-1.0", "-0.5", "0.0", "0.5", "1.0"});
  REQUIRE(ticks(1e6, 1e6 + 1e-6).size() < 8);
  for (const double size : {1e-300, 5e-324, 1e-30, 1e15, 1e299, 1e300}) {
    INFO("size " << size);
    for (const Texts& labels : {ticks(-size, size), ticks(0, size), ticks(size, size * (1 + 1e-12))}) {
      REQUIRE((labels.size() >= 3 && labels.size() <= 8));
      for (std::size_t i = 1; i < labels.size(); ++i) REQUIRE(labels[i] != labels[i - 1]);
    }
  }
}

TEST_CASE("plot: powers of two on a logarithmic axis") {
  const auto ticks = [](double low, double high) {
    const std::array<PlotSeries, 1> line{PlotSeries{"a", {low, high}, {0, 1}}};
    const std::string svg = line_plot(line, {.log2_x = true});
    require_sound(svg);
    return texts(svg, "middle");
  };
  REQUIRE(ticks(1, 8) == Texts{"1", "2", "4", "8"});
  REQUIRE(ticks(3, 3.5) == Texts{"2", "4"});
  REQUIRE(ticks(8, 8) == Texts{"4", "8", "16"});
  REQUIRE(ticks(0.25, 1.5) == Texts{"0.25", "0.5", "1"});
  REQUIRE(ticks(1, 4194304) == Texts{"1", "8", "64", "512", "4096", "32768", "262144", "2^21"});
  REQUIRE(ticks(5e-324, 1e300).size() <= 11);
}

TEST_CASE("plot: powers of ten on both axes") {
  const std::array<PlotSeries, 1> line{PlotSeries{"a", {0.01, 1, 100}, {1e3, 1e9, 1e15}}};
  const std::string svg = line_plot(line, {.log_x = true, .log_y = true});
  require_sound(svg);
  REQUIRE(texts(svg, "middle") == Texts{"0.01", "0.1", "1", "10", "100"});
  REQUIRE(texts(svg, "end") == Texts{"1000", "100000", "1e7", "1e9", "1e11", "1e13", "1e15"});
  REQUIRE(svg.find("L355.2 ") != std::string::npos);  // the second of three points stands in the middle
  const std::array<PlotSeries, 1> narrow{PlotSeries{"a", {3, 0, -1, 30}, {2, 1, 1, 4}}};
  const std::string few = line_plot(narrow, {.log_x = true, .log_y = true});
  require_sound(few);
  REQUIRE(texts(few, "middle") == Texts{"5", "10", "20"});
  REQUIRE(texts(few, "end") == Texts{"1", "2", "5", "10"});
  REQUIRE(count(few, "<title>") == 2);  // what has no logarithm is left out
}

TEST_CASE("plot: lines without marks, marks without lines, hints") {
  const std::array<PlotSeries, 2> series{PlotSeries{"roof", {0, 1, 2}, {0, 1, 1}, train::PlotStyle::line},
                                         PlotSeries{"ops", {1, 2}, {1, 0}, train::PlotStyle::marks, {"conv <2>"}}};
  const std::string svg = line_plot(series);
  require_sound(svg);
  REQUIRE(count(svg, "stroke-width=\"2.5\"") == 2);  // the roof and its sample in the legend
  REQUIRE(count(svg, "<title>") == 2);
  REQUIRE(count(svg, "<title>conv &lt;2&gt;: 1, 1</title>") == 1);
  REQUIRE(count(svg, "<title>ops: 2, 0</title>") == 1);
}

TEST_CASE("plot: what cannot be drawn breaks the line") {
  const std::array<PlotSeries, 3> lines{PlotSeries{"a", {1, 2, 3, 4, 5}, {1, kNan, 2, kInfinity, 3}},
                                        PlotSeries{"b", {kNan, -kInfinity, 0, 1, 2}, {1, 1, 1, 2e300, 2}},
                                        PlotSeries{"c", {1, 2}, {kNan, kNan}}};
  const std::string svg = line_plot(lines);
  require_sound(svg);
  const std::regex broken(R"(<path d="M[\d. ]+M[\d. ]+M[\d. ]+" fill="none" stroke="#0072b2")");
  REQUIRE(std::regex_search(svg, broken));
  REQUIRE((count(svg, "<title>a:") == 3 && count(svg, "<title>b:") == 2 && count(svg, "<title>c:") == 0));
  REQUIRE(svg.find(">c</text>") != std::string::npos);  // the legend names it
  const std::string log2 = line_plot(lines, {.log2_x = true});
  require_sound(log2);
  REQUIRE(count(log2, "<title>b:") == 1);  // 0 has no logarithm
}

TEST_CASE("plot: nothing to draw") {
  for (const std::vector<PlotSeries>& series : {std::vector<PlotSeries>{}, {{"empty", {}, {}}}, {{"", {1}, {kNan}}}})
    for (const bool log2_x : {false, true}) {
      const std::string svg = line_plot(series, {.log2_x = log2_x});
      require_sound(svg);
      REQUIRE(texts(svg, "end").front() == "0.0");
    }
}

TEST_CASE("plot: text is escaped, and smaller where it is too wide") {
  const std::string wild = "a<b> & \"c\" \xff\x01 </svg>";
  const std::array<PlotSeries, 1> line{PlotSeries{wild, {1}, {1}}};
  const std::string svg = line_plot(line, {.title = wild, .x_label = wild, .y_label = wild});
  require_sound(svg);
  REQUIRE(count(svg, "a&lt;b&gt; &amp; &quot;c&quot; \\xff\\x01 &lt;/svg&gt;") == 6);
  REQUIRE(count(svg, "</svg>") == 1);
  const std::array<PlotSeries, 1> huge{PlotSeries{"a", {0, 1}, {0, 3e8}}};
  const std::string wide = line_plot(huge, {.title = std::string(200, 'w'), .y_label = "loss"});
  require_sound(wide);
  REQUIRE(wide.find("font-size=\"4.3\">www") != std::string::npos);
  REQUIRE(wide.find("M72.0") == std::string::npos);  // long ticks move the axis away from its label
}

TEST_CASE("plot: a long legend takes several rows, each series its own colour and mark") {
  std::vector<PlotSeries> series;
  for (int i = 0; i < 8; ++i) series.push_back({fmt::format("series number {}", i), {0, 1}, {0.0 + i, 1.0 + i}});
  const std::string svg = line_plot(series);
  require_sound(svg);
  REQUIRE((svg.find("y=\"24.0\"") != std::string::npos && svg.find("y=\"48.0\"") != std::string::npos));
  const std::regex frame("height=\"(\\d+)\"");
  std::smatch height;
  REQUIRE(std::regex_search(svg, height, frame));
  REQUIRE(std::stoi(height[1].str()) >= 290 + 58 + 48);
}

TEST_CASE("plot: the same text whatever the locale") {
  const std::string before = line_plot(two_lines(), {.log2_x = true});
  const std::string old = std::setlocale(LC_ALL, nullptr);
  for (const char* name : {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"})
    if (std::setlocale(LC_ALL, name) != nullptr) break;
  const std::string german = line_plot(two_lines(), {.log2_x = true});
  std::setlocale(LC_ALL, old.c_str());
  REQUIRE(german == before);
}

TEST_CASE("plot: a series with more of one than of the other") {
  const std::array<PlotSeries, 1> line{PlotSeries{"group\nnorm", {1, 2}, {1}}};
  REQUIRE_THROWS_AS(line_plot(line), ArgumentError);
  try {
    line_plot(line);
  } catch (const ArgumentError& error) {
    const std::string_view message = error.what();
    REQUIRE(message.find("line_plot: series 'group\\x0anorm' has 2 values of x, but 1 of y") != std::string_view::npos);
    REQUIRE(message.find("plot_test.cc") != std::string_view::npos);
  }
}

TEST_CASE("plot: files are replaced as a whole") {
  const TempDir dir;
  const std::string path = dir / "a/b/plot.svg";
  train::save_line_plot(path, two_lines());
  REQUIRE(read_text(path) == line_plot(two_lines()));
  train::save_line_plot(path, {});
  REQUIRE(read_text(path) == line_plot({}));
  REQUIRE(std::distance(std::filesystem::directory_iterator(dir / "a/b"), {}) == 1);  // nothing else is left
  REQUIRE_THROWS_AS(train::save_line_plot(dir / "a/b", two_lines()), EnvironmentError);
  REQUIRE_THROWS_AS(train::save_line_plot(path + "/under", two_lines()), EnvironmentError);
  REQUIRE_THROWS_AS(train::save_line_plot(path, std::array<PlotSeries, 1>{PlotSeries{"a", {1}, {}}}), ArgumentError);
  REQUIRE(read_text(path) == line_plot({}));
}
