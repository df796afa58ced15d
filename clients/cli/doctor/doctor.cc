#include <memory>
#include <string>
#include <string_view>

#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/doctor/broker_check.h"
#include "clients/cli/doctor/bus_check.h"
#include "clients/cli/doctor/finding.h"
#include "clients/cli/doctor/machine_check.h"
#include "clients/cli/doctor/state_check.h"
#include "clients/cli/inspect/bus_view.h"
#include "clients/cli/state_directory.h"
#include "clients/cpp/bus_locator.h"
#include "fmt/format.h"
#include "proto/json_text.h"

namespace fifobus::cli {
namespace {

struct DoctorOptions {
  BusOptions bus;
  std::string state_dir;
  bool json = false;
};

// The bus that clients find, or the place where a broker would start.
std::string DirectoryToExamine(const std::string& dir) {
  const auto found = FindBus(dir);
  return found.ok() ? *found : BrokerDirectory(dir);
}

Findings Examine(const DoctorOptions& options, const std::string& dir) {
  const Machine machine = ThisMachine();
  const BusFiles bus = LookAtBus(dir);
  Findings findings = {
      CheckFileSystem(dir),         CheckDirectory(bus),
      CheckFiles(machine, bus),     CheckProtectedFifos(machine, bus),
      CheckLeftovers(machine, bus), CheckPipeLimits(machine),
      CheckPipes(machine),          CheckDescriptors(machine),
      CheckInotify(machine),        CheckClock(machine)};
  const auto add = [&findings](const Findings& more) {
    findings.insert(findings.end(), more.begin(), more.end());
  };
  add(CheckState(machine, options.state_dir));
  if (bus.runs) {
    BusOptions found = options.bus;
    found.dir = dir;
    add(CheckBroker(machine, found, BrokerPid(dir)));
  } else {
    findings.push_back(
        Note("broker", fmt::format("none runs on {}", dir), "fifobus serve"));
  }
  return findings;
}

std::string_view VerdictName(Finding::Verdict verdict) {
  switch (verdict) {
    case Finding::Verdict::kOk:
      return "ok";
    case Finding::Verdict::kNote:
      return "note";
    case Finding::Verdict::kWrong:
      break;
  }
  return "wrong";
}

// A path may hold any bytes, and a line of the terminal or of JSON may not.
std::string Printable(const std::string& text) {
  std::string printable;
  for (const char c : text) {
    printable += static_cast<unsigned char>(c) < ' ' || c == 127 ? '?' : c;
  }
  if (IsUtf8(printable)) return printable;
  for (char& c : printable) {
    if (static_cast<unsigned char>(c) > 127) c = '?';
  }
  return printable;
}

void Print(const Findings& findings) {
  for (const Finding& finding : findings) {
    fmt::print(
        "{:<5}  {:<20}  {}{}{}\n", VerdictName(finding.verdict), finding.check,
        Printable(finding.text),
        finding.command.empty() ? "" : "; run: ", Printable(finding.command));
  }
}

void PrintJson(const std::string& dir, const Findings& findings, size_t wrong) {
  std::string json = "{\"dir\":";
  AppendJsonText(Printable(dir), json);
  json += fmt::format(",\"wrong\":{},\"checks\":[", wrong);
  for (const Finding& finding : findings) {
    if (!json.ends_with('[')) json += ',';
    json += "{\"check\":";
    AppendJsonText(finding.check, json);
    json += ",\"verdict\":";
    AppendJsonText(VerdictName(finding.verdict), json);
    json += ",\"text\":";
    AppendJsonText(Printable(finding.text), json);
    json += ",\"command\":";
    AppendJsonText(Printable(finding.command), json);
    json += '}';
  }
  fmt::print("{}]}}\n", json);
}

Exit Doctor(const DoctorOptions& options) {
  const std::string dir = DirectoryToExamine(options.bus.dir);
  const Findings findings = Examine(options, dir);
  size_t wrong = 0;
  for (const Finding& finding : findings) {
    if (finding.verdict == Finding::Verdict::kWrong) ++wrong;
  }
  if (options.json) {
    PrintJson(dir, findings, wrong);
  } else {
    Print(findings);
  }
  return wrong == 0 ? kDone : kFailed;
}

}  // namespace

void AddDoctor(Command& program) {
  Command& doctor = program.Add(
      "doctor",
      "say what is wrong with the machine, the bus or the broker, and the "
      "command that mends it");
  auto options = std::make_shared<DoctorOptions>();
  options->bus.AddTo(doctor);
  doctor.AddText(
      "--state-dir DIR", options->state_dir,
      std::string("where the broker keeps its logs ") + kStateDirectoryHelp);
  doctor.AddFlag("--json", options->json, "one JSON object");
  doctor.Explain(
      "It prints a line for each thing that it has looked at: ok, note or "
      "wrong, how it is, and behind \"run:\" the command that mends it. It "
      "works with and without a running broker, and changes nothing. It ends "
      "with 1 if anything is wrong.\n\n"
      "Examples:\n"
      "  fifobus doctor\n"
      "  fifobus doctor --json | python3 -m json.tool");
  doctor.OnRun([options] { return Doctor(*options); });
}

}  // namespace fifobus::cli
