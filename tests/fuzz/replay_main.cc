// Runs a fuzz target over its corpus, and over mutations of it, without
// libFuzzer: the same inputs in each run.
//
//   TARGET_test FOLDER...

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kMutationsOfEach = 20;
constexpr uint32_t kSeed = 1;

void Run(const std::string& input) {
  // Of exactly this size, so that a sanitizer sees each byte too many.
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

std::string Mutated(std::string input, const std::string& other,
                    std::mt19937& random) {
  const int changes = 1 + static_cast<int>(random() % 4);
  for (int i = 0; i < changes; ++i) {
    const size_t at = input.empty() ? 0 : random() % input.size();
    switch (random() % 5) {
      case 0:
        if (!input.empty()) input[at] = static_cast<char>(random());
        break;
      case 1:
        if (!input.empty()) input[at] ^= static_cast<char>(1 << random() % 8);
        break;
      case 2:
        input.erase(at, 1 + random() % 8);
        break;
      case 3:
        input.insert(at, 1 + random() % 4, static_cast<char>(random()));
        break;
      default:
        input = input.substr(0, at) +
                other.substr(other.empty() ? 0 : random() % other.size());
    }
  }
  return input;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file),
          std::istreambuf_iterator<char>()};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argc; ++i) {
    for (const auto& file : std::filesystem::directory_iterator(argv[i])) {
      paths.push_back(file.path());
    }
  }
  if (paths.empty()) {
    fprintf(stderr, "no inputs; name folders that hold some\n");
    return 1;
  }
  std::sort(paths.begin(), paths.end());
  std::mt19937 random(kSeed);
  std::vector<std::string> inputs;
  for (const auto& path : paths) inputs.push_back(ReadFile(path));
  for (size_t i = 0; i < inputs.size(); ++i) {
    fprintf(stderr, "%s, and %d mutations of seed %u\n", paths[i].c_str(),
            kMutationsOfEach, kSeed);
    Run(inputs[i]);
    for (int j = 0; j < kMutationsOfEach; ++j) {
      Run(Mutated(inputs[i], inputs[random() % inputs.size()], random));
    }
  }
  return 0;
}
