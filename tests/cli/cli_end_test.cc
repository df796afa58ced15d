// How commands end: when the broker stops or dies, when nobody reads what they
// print, by signals, and when their time is over.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>

#include "broker/base/unique_fd.h"
#include "clients/cpp/client.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"
#include "tests/support/cli_support.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

// The writing end of a FIFO that is a command's input. No other process gets it.
class Input {
 public:
  explicit Input(const std::string& fifo)
      : fd_(open(fifo.c_str(), O_WRONLY | O_CLOEXEC)) {}

  void Write(const std::string& text) const {
    EXPECT_EQ(write(fd_.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }
  void Close() { fd_.Reset(); }

 private:
  UniqueFd fd_;
};

class CliEndTest : public CliTest {
 protected:
  // A broker in a process of its own, which waits for ever for its clients.
  std::unique_ptr<Process> Serve() {
    UseDir(dir_.path() + "/bus");
    auto broker = Spawn("exec fifobus serve --drain-timeout 1h", "serve");
    EXPECT_TRUE(AwaitText("serve.err", "ready"));
    return broker;
  }

  // Whether a file gets this text.
  bool AwaitText(const std::string& name, const std::string& text) const {
    return WaitUntil([&] { return Has(ReadFile(Path(name)), text); });
  }

  // Until the bus has a session of this name.
  bool AwaitClient(const std::string& name) const {
    return WaitUntil([&] { return Has(Run("fifobus ls").out, name + " "); });
  }

  static bool Has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  static auto LinesIn(const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  }

 private:
  const TempDir dir_;
};

// An orderly end of the broker.

TEST_F(CliEndTest, NoIdleCommandHoldsUpABrokerThatStops) {
  const struct {
    std::string client;
    std::string options;
  } cases[] = {
      {"fifobus pub", "a"},
      {"fifobus pub", "a --raw"},
      {"fifobus pub", "--json --confirm"},
      {"fifobus pub", "a x --wait-subscribers 1"},
      {"fifobus bench pub", "a --count 2 --rate 1e-6"},
      {"fifobus sub", "a"},
      {"fifobus sub", "a --non-blocking"},
      {"fifobus sub", "a --busy-poll"},
      {"fifobus sub", "a --exec cat"},
      {"fifobus sub", "a --exec-stream cat"},
      {"fifobus reply", "a --exec cat"},
      {"fifobus info", "a --interval 1h"},
      {"fifobus why", "a --interval 1h"},
      {"fifobus metrics", "--textfile metrics.prom --interval 1h"},
  };
  MakeFifo(Path("input"));
  for (const auto& one : cases) {
    const auto broker = Serve();
    // The input is open and empty.
    const auto idle = Spawn(fmt::format("cd {}; exec {} {} <> input", Path(""),
                                        one.client, one.options),
                            "idle");
    EXPECT_TRUE(AwaitClient(one.client)) << one.options;
    broker->Signal(SIGTERM);
    EXPECT_EQ(broker->Wait(), 0) << one.client << " " << one.options;
  }
}

TEST_F(CliEndTest, NoCommandAtWorkHoldsUpABrokerThatStops) {
  for (const char* command :
       {"sub a --exec", "sub a --exec-stream", "reply a --exec",
        "sub a --group g --ack --exec"}) {
    const auto broker = Serve();
    const auto busy =
        Spawn(fmt::format("exec fifobus {} 'echo begun >&2; exec sleep 1000'",
                          command),
              "busy");
    EXPECT_EQ(Run("echo '{\"payload\":\"x\",\"reply_topic\":\"b\"}' | "
                  "fifobus pub a --json --wait-subscribers 1")
                  .exit,
              0);
    EXPECT_TRUE(AwaitText("busy.err", "begun")) << command;
    broker->Signal(SIGTERM);
    EXPECT_EQ(broker->Wait(), 0) << command;
  }
}

// The broker's death.

TEST_F(CliEndTest, PubFailsIfItsLastMessagesAreLost) {
  MakeFifo(Path("input"));
  const auto broker = Serve();
  const auto subscriber = Spawn("exec fifobus sub a", "sub");
  const auto publisher =
      Spawn(fmt::format("exec fifobus pub a --wait-subscribers 1 < {}",
                        Path("input")),
            "pub");
  Input input(Path("input"));
  input.Write("first\n");
  EXPECT_TRUE(AwaitText("sub", "first\n"));
  broker->Signal(SIGKILL);
  broker->Wait();
  input.Close();
  EXPECT_EQ(publisher->Wait(), 1);
  const std::string error = ReadFile(Path("pub.err"));
  EXPECT_TRUE(Has(error, "not known")) << error;
  EXPECT_EQ(LinesIn(error), 1) << error;
}

TEST_F(CliEndTest, PubFailsIfEarlierMessagesAreLostAndGoesOn) {
  MakeFifo(Path("input"));
  const auto broker = Serve();
  const auto publisher =
      Spawn(fmt::format("exec fifobus pub a --wait-subscribers 1 < {}",
                        Path("input")),
            "pub");
  Input input(Path("input"));
  {
    const auto subscriber = Spawn("exec fifobus sub a", "sub");
    input.Write("first\n");
    EXPECT_TRUE(AwaitText("sub", "first\n"));
  }
  broker->Signal(SIGKILL);
  broker->Wait();
  const auto next_broker = Serve();
  const auto subscriber = Spawn("exec fifobus sub a", "sub");
  EXPECT_TRUE(AwaitClient("fifobus pub"));
  EXPECT_TRUE(WaitUntil([&] { return Has(Run("fifobus ls").out, " a \n"); }));
  input.Write("second\n");
  EXPECT_TRUE(AwaitText("sub", "second\n"));
  input.Close();
  EXPECT_EQ(publisher->Wait(), 1);
  const std::string error = ReadFile(Path("pub.err"));
  EXPECT_TRUE(Has(error, "not known")) << error;
  EXPECT_EQ(LinesIn(error), 1) << error;
}

TEST_F(CliEndTest, PubSucceedsIfAllCameBeforeTheBrokersStop) {
  MakeFifo(Path("input"));
  const auto broker = Serve();
  const auto publisher =
      Spawn(fmt::format("exec fifobus pub a < {}", Path("input")), "pub");
  Input input(Path("input"));
  input.Write("first\n");
  EXPECT_TRUE(AwaitClient("fifobus pub"));
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
  input.Close();
  EXPECT_EQ(publisher->Wait(), 0);
  EXPECT_EQ(ReadFile(Path("pub.err")), "");
}

TEST_F(CliEndTest, ReplyEndsByASignalWithAReplyThatNoBrokerTakes) {
  const auto broker = Serve();
  const auto responder =
      Spawn(fmt::format("exec fifobus reply a --exec 'echo begun >&2; until "
                        "test -e {0}; do :; done; echo done >&2'",
                        Path("go")),
            "reply");
  const auto asker = Spawn("fifobus req a x --wait-subscribers 1", "req");
  EXPECT_TRUE(AwaitText("reply.err", "begun"));
  broker->Signal(SIGKILL);
  broker->Wait();
  std::ofstream go(Path("go"));
  EXPECT_TRUE(AwaitText("reply.err", "done"));
  // It is known that the command has ended when it has no child.
  EXPECT_EQ(Run(fmt::format("while grep -q . /proc/{0}/task/{0}/children; do "
                            ":; done",
                            responder->pid()))
                .exit,
            0);
  responder->Signal(SIGTERM);
  EXPECT_EQ(responder->Wait(), 1);
  EXPECT_TRUE(Has(ReadFile(Path("reply.err")), "replies that were not sent"));
}

// The reader of standard output goes away.

TEST_F(CliEndTest, SubEndsWhenItsReaderIsGoneThoughNothingIsPublished) {
  const TestBus bus;
  Use(bus);
  const auto client = bus.Connect();
  for (const char* options :
       {"", "--json", "--raw", "--non-blocking", "--busy-poll", "--exec cat",
        "--exec-stream cat"}) {
    AwaitSubscribers(bus, 0);
    const auto pipeline =
        Spawn(fmt::format("(fifobus sub a {}; echo ended $? >&2) | head -c 1",
                          options),
              "head");
    AwaitSubscribers(bus, 1);
    EXPECT_EQ(client->Publish("a", "first"), PublishOutcome::kSent);
    EXPECT_EQ(pipeline->Wait(), 0) << options;
    EXPECT_TRUE(AwaitText("head.err", "ended 0\n")) << options;
    EXPECT_EQ(ReadFile(Path("head.err")), "ended 0\n") << options;
  }
}

TEST_F(CliEndTest, PubEndsWhenTheReaderOfItsConfirmationsIsGone) {
  const TestBus bus;
  Use(bus);
  MakeFifo(Path("input"));
  for (const char* what :
       {"a --confirm", "a x --confirm --repeat 0 --rate 0.000001"}) {
    const auto pipeline =
        Spawn(fmt::format("(fifobus pub {} <> {}; echo ended $? >&2) | "
                          "head -n 1",
                          what, Path("input")),
              "head");
    Input(Path("input")).Write("first\n");
    EXPECT_EQ(pipeline->Wait(), 0) << what;
    EXPECT_TRUE(AwaitText("head.err", "ended 0\n")) << what;
    EXPECT_EQ(ReadFile(Path("head")), "accepted 0 0\n") << what;
  }
}

// Signals.

TEST_F(CliEndTest, ASignalThatWasIgnoredAtTheStartStaysIgnored) {
  const TestBus bus;
  Use(bus);
  for (const char* options : {"", "--exec cat", "--exec-stream cat"}) {
    AwaitSubscribers(bus, 0);
    const auto subscriber = Spawn(
        fmt::format("trap '' HUP INT; exec fifobus sub a {}", options), "sub");
    AwaitSubscribers(bus, 1);
    subscriber->Signal(SIGHUP);
    subscriber->Signal(SIGINT);
    EXPECT_EQ(Run("fifobus pub a x").exit, 0);
    EXPECT_TRUE(WaitUntil([&] { return !ReadFile(Path("sub")).empty(); }))
        << options;
    subscriber->Signal(SIGTERM);
    EXPECT_EQ(subscriber->Wait(), -SIGTERM) << options;
  }
  const auto responder =
      Spawn("trap '' HUP INT; exec fifobus reply b --exec cat", "reply");
  EXPECT_TRUE(AwaitClient("fifobus reply"));
  responder->Signal(SIGHUP);
  responder->Signal(SIGINT);
  EXPECT_EQ(Run("fifobus req b x --wait-subscribers 1").out, "x\n");
  responder->Signal(SIGTERM);
  EXPECT_EQ(responder->Wait(), 0);
}

TEST_F(CliEndTest, MetricsAndServeKeepToIgnoredSignalsAsWell) {
  UseDir(Path("bus"));
  const auto broker = Spawn("trap '' HUP INT; exec fifobus serve", "serve");
  EXPECT_TRUE(AwaitText("serve.err", "ready"));
  const auto metrics =
      Spawn(fmt::format("trap '' HUP INT; exec fifobus metrics --textfile {} "
                        "--interval 1ms",
                        Path("prom")),
            "metrics");
  EXPECT_TRUE(AwaitText("prom", "fifobus_up 1"));
  for (const int number : {SIGHUP, SIGINT}) {
    metrics->Signal(number);
    broker->Signal(number);
    unlink(Path("prom").c_str());
    EXPECT_TRUE(AwaitText("prom", "fifobus_up 1")) << number;
  }
  metrics->Signal(SIGTERM);
  EXPECT_EQ(metrics->Wait(), 0);
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
  EXPECT_TRUE(Has(ReadFile(Path("serve.err")), "stopping: signal=15\n"));
}

TEST_F(CliEndTest, CommandsGetTheSignalsThatFifobusGot) {
  const TestBus bus;
  Use(bus);
  // The lower half: above are those of the C library, which threads change.
  const std::string show =
      "grep -E 'SigBlk|SigIgn' /proc/self/status | sed 's/\\t.\\{8\\}/ /'";
  for (const char* ignored : {"''", "'' HUP", "'' PIPE", "'' PIPE INT TERM"}) {
    AwaitSubscribers(bus, 0);
    const auto subscriber =
        Spawn(fmt::format("trap {}; exec fifobus sub a -n 1 --exec \"{}\"",
                          ignored, show),
              "sub");
    AwaitSubscribers(bus, 1);
    EXPECT_EQ(Run("fifobus pub a x").exit, 0);
    EXPECT_EQ(subscriber->Wait(), 0);
    EXPECT_EQ(ReadFile(Path("sub")),
              Run(fmt::format("trap {}; {}", ignored, show)).out)
        << ignored;
  }
}

// Their time.

TEST_F(CliEndTest, ATimeoutEndsTheWaitForABrokerToo) {
  for (const char* command :
       {"req a x", "sub a", "pub a x --wait-subscribers 1",
        "bench sub a --count 1"}) {
    const Outcome late = Run(
        fmt::format("fifobus {} --timeout 50ms --connect-timeout 1h", command));
    EXPECT_EQ(late.exit, 3) << command << late.err;
    EXPECT_EQ(LinesIn(late.err), 1) << late.err;
    const Outcome none = Run(
        fmt::format("fifobus {} --timeout 1h --connect-timeout 50ms", command));
    EXPECT_EQ(none.exit, 1) << command << none.err;
  }
}

TEST_F(CliEndTest, ReqMayWaitForItsResponder) {
  const TestBus bus;
  Use(bus);
  const auto asker =
      Spawn("exec fifobus req a x --wait-subscribers 1 --timeout 60s", "req");
  EXPECT_TRUE(AwaitClient("fifobus req"));
  const auto responder = Spawn("exec fifobus reply a --exec 'tr x y'", "reply");
  EXPECT_EQ(asker->Wait(), 0) << ReadFile(Path("req.err"));
  EXPECT_EQ(ReadFile(Path("req")), "y\n");
  const Outcome late =
      Run("fifobus req b x --wait-subscribers 1 --timeout 50ms");
  EXPECT_EQ(late.exit, 3);
  EXPECT_TRUE(Has(late.err, "has 0 subscribers and not 1")) << late.err;
}

TEST_F(CliEndTest, ReplyDoesNotWorkOnRequestsThatNobodyWaitsFor) {
  const TestBus bus;
  Use(bus);
  const auto responder =
      Spawn(fmt::format("exec fifobus reply a --exec 'cat; cat >&2; until "
                        "test -e {}; do :; done'",
                        Path("go")),
            "reply");
  const auto first = Spawn("fifobus req a 1 --wait-subscribers 1", "first");
  EXPECT_TRUE(
      WaitUntil([&] { return bus.broker().CollectStats().topics_size() > 0; }));
  EXPECT_EQ(Run("fifobus req a 2 --timeout 50ms").exit, 3);
  std::ofstream go(Path("go"));
  EXPECT_EQ(first->Wait(), 0) << ReadFile(Path("first.err"));
  EXPECT_EQ(Run("fifobus req a 3").out, "3\n");
  EXPECT_EQ(ReadFile(Path("reply.err")), "");
}

// Standard error.

TEST_F(CliEndTest, AnErrorThatNobodyReadsChangesNoExitCode) {
  for (const char* to : {"2>&-", "2>/dev/full"}) {
    const struct {
      const char* command;
      int exit;
    } cases[] = {
        {"ls --connect-timeout 0", 1},
        {"sub a --connect-timeout 0", 1},
        {"pub a x --connect-timeout 0", 1},
        {"req a x --connect-timeout 0", 1},
        {"man nonsense", 1},
        {"conformance", 2},
        {"nonsense", 2},
        {"why a#b", 2},
        {"sub a --timeout 10ms", 3},
        {"serve --config /nonexistent", 2},
        {"ls --help > /dev/full", 1},
    };
    for (const auto& one : cases) {
      EXPECT_EQ(Run(fmt::format("fifobus {} {}", one.command, to)).exit,
                one.exit)
          << one.command << " " << to;
    }
  }
  EXPECT_EQ(Run("(fifobus ls --connect-timeout 0 3>&1; echo $? >&3) 2>&1 3>&1 "
                ">/dev/null | head -c 0; :")
                .exit,
            0);
}

}  // namespace
}  // namespace fifobus
