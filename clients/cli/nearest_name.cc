#include "clients/cli/nearest_name.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

namespace fifobus::cli {
namespace {

// How many characters are to be changed, added or removed to make `b` of `a`:
// Levenshtein's distance.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);  // to each beginning of b
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string NearestName(std::string_view word,
                        const std::vector<std::string_view>& names) {
  std::string nearest;
  // Half of the word may be wrong.
  size_t least = word.size() / 2 + 1;
  for (const std::string_view name : names) {
    const bool abbreviates = word.starts_with(name) || name.starts_with(word);
    const size_t distance = abbreviates ? 0 : Distance(word, name);
    if (distance >= least) continue;
    least = distance;
    nearest = name;
  }
  return nearest;
}

}  // namespace fifobus::cli
