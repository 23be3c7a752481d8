#pragma once
#include <string>
#include <vector>

namespace tecc::benchmarks {

struct Curve {
  std::string name;
  std::vector<double> percent;  // above the best, after 1, 2, .. trials
};
struct Panel {
  std::string title;
  std::vector<Curve> curves;  // the same names in the same order in every panel
};

/// An SVG of small panels side by side: trials to the right, % above the best upwards, both on scales where a doubling
/// is as far everywhere (the lowest % is a tenth).
std::string draw(const std::vector<Panel>& panels);

}  // namespace tecc::benchmarks
