#include "benchmarks/curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tecc::benchmarks {
namespace {

constexpr double width = 340, height = 220, left = 44, right = 12, top = 26, bottom = 26;  // of a panel, in pixels
constexpr int columns = 3;
constexpr double lowest = 0.1, highest = 400;  // %
constexpr const char* colours[] = {"#0b6e4f", "#1f77b4", "#7b3fa0", "#b03060", "#d08c00", "#888888"};

double x_of(double trial, double trials) { return left + (width - left - right) * std::log2(trial) / std::log2(std::max(trials, 2.0)); }
double y_of(double percent) {
  const double p = std::clamp(percent, lowest, highest);
  return top + (height - top - bottom) * (1 - std::log2(p / lowest) / std::log2(highest / lowest));
}

std::string panel(const Panel& p) {
  const double trials = p.curves.empty() ? 1 : static_cast<double>(p.curves[0].percent.size());
  std::string out = fmt::format("<text x=\"{}\" y=\"16\" font-weight=\"bold\">{}</text>\n", left, p.title);
  for (double percent : {0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0}) {
    out += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#e4e4e4\"/>", left, width - right, y_of(percent), y_of(percent));
    out += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}%</text>\n", left - 4, y_of(percent) + 3, percent);
  }
  for (double trial = 1; trial <= trials; trial *= 2)
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x_of(trial, trials), height - bottom + 14, trial);
  for (std::size_t n = 0; n < p.curves.size(); ++n) {
    std::string points;
    for (std::size_t t = 0; t < p.curves[n].percent.size(); ++t)
      points += fmt::format("{:.1f},{:.1f} ", x_of(static_cast<double>(t + 1), trials), y_of(p.curves[n].percent[t]));
    out += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" points=\"{}\"/>\n", colours[n % std::size(colours)], n == 0 ? 2.4 : 1.3, points);
  }
  return out;
}

}  // namespace

std::string draw(const std::vector<Panel>& panels) {
  const int rows = (static_cast<int>(panels.size()) + columns - 1) / columns;
  constexpr double legend = 24;
  std::string out = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"10\">\n"
                                "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n", columns * width, rows * height + legend);
  if (!panels.empty())
    for (std::size_t n = 0; n < panels[0].curves.size(); ++n)
      out += fmt::format("<text x=\"{}\" y=\"16\" font-size=\"12\" fill=\"{}\">{}</text>\n", left + 90 * static_cast<double>(n), colours[n % std::size(colours)], panels[0].curves[n].name);
  for (std::size_t n = 0; n < panels.size(); ++n) {
    const std::size_t row = n / columns, column = n % columns;
    out += fmt::format("<g transform=\"translate({},{})\">\n{}</g>\n", width * static_cast<double>(column), legend + height * static_cast<double>(row), panel(panels[n]));
  }
  return out + "</svg>\n";
}

}  // namespace tecc::benchmarks
