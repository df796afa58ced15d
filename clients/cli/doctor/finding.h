#ifndef FIFOBUS_CLIENTS_CLI_DOCTOR_FINDING_H_
#define FIFOBUS_CLIENTS_CLI_DOCTOR_FINDING_H_

#include <string>
#include <utility>
#include <vector>

namespace fifobus::cli {

// One line of `fifobus doctor`: what was looked at, how it is, and the command
// that mends it.
struct Finding {
  enum class Verdict {
    kOk,
    kNote,  // to know, and not wrong
    kWrong,
  };
  std::string check;  // "pipe limits"
  Verdict verdict = Verdict::kOk;
  std::string text;
  std::string command;  // empty: there is nothing to mend
};
using Findings = std::vector<Finding>;

inline Finding Ok(std::string check, std::string text) {
  return {std::move(check), Finding::Verdict::kOk, std::move(text), ""};
}
inline Finding Note(std::string check, std::string text,
                    std::string command = "") {
  return {std::move(check), Finding::Verdict::kNote, std::move(text),
          std::move(command)};
}
inline Finding Wrong(std::string check, std::string text, std::string command) {
  return {std::move(check), Finding::Verdict::kWrong, std::move(text),
          std::move(command)};
}

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_DOCTOR_FINDING_H_
