"""Runs the smallest plan of bench/report and opens the page in a browser.

The figures mean nothing and are not looked at; that all plots and tables are there
and can be seen is.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

# Generous: only a hang takes as long.
HANG_SECONDS = 120

# Looks at the page from inside: what is drawn, and how large.
PROBE = """
<pre id=probe></pre><script>
const sizes = (selector) => [...document.querySelectorAll(selector)].map((e) => {
  const box = e.getBoundingClientRect();
  return {width: box.width, height: box.height, lines: e.querySelectorAll("path").length,
          rows: e.querySelectorAll("tbody tr").length};
});
document.getElementById("probe").textContent =
    JSON.stringify({plots: sizes("figure > svg"), tables: sizes("table")});
</script>
"""


class ReportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        environment = dict(
            os.environ,
            FIFOBUS_BIN=os.getcwd(),
            HOME=cls.folder,
            MPLCONFIGDIR=cls.folder,
            FIFOBUS_BENCH_DISK=cls.folder,
        )
        cls.run_of_report = subprocess.run(
            [
                "bench/report",
                "--smoke",
                "--no-peers",
                "--prebuilt",
                "--out",
                cls.folder,
            ],
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def test_everything_was_measured(self):
        self.assertEqual(self.run_of_report.returncode, 0, self.run_of_report.stderr)
        records = json.loads(self.read("report.json"))["records"]
        self.assertEqual(
            {r["figure"] for r in records},
            {
                "matrix",
                "latency",
                "stream",
                "fan-out",
                "fan-in",
                "unbatched",
                "idle",
                "patterns",
                "durable",
            },
        )
        for record in records:
            if record["figure"] == "durable":
                self.assertGreater(record["result"]["value"], 0, record)
                continue
            self.assertEqual(record["result"]["lost_part"], 0, record)
            self.assertEqual(record["result"]["out_of_order"], 0, record)

    def test_the_summary_has_all_tables(self):
        summary = self.read("report.md")
        for title in (
            "How a subscriber waits",
            "Goals and this run",
            "Latency p50",
            "One publisher to one subscriber",
            "Fan-out",
            "Ten publishers",
            "Idle sessions",
            "Subscriptions beside",
            "Stored messages",
            "Versions and settings",
            "Blocking and non-blocking, in full",
        ):
            self.assertIn(title, summary)
        self.assertIn("peers were not asked for", summary)

    def test_a_browser_shows_all_plots_and_tables(self):
        browser = shutil.which("chromium")
        if not browser:
            self.skipTest("chromium is not installed: `tools/setup test`")
        with open(self.path("probed.html"), "w", encoding="utf-8") as page:
            page.write(self.read("report.html").replace("</body>", PROBE + "</body>"))
        shown = subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--user-data-dir=" + self.path("browser"),
                "--dump-dom",
                "--window-size=1200,4000",
                "file://" + self.path("probed.html"),
            ],
            env=dict(os.environ, HOME=self.folder),
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        found = re.search(r'<pre id="probe">(.*?)</pre>', shown.stdout)
        self.assertTrue(found, shown.stderr[-2000:])
        probe = json.loads(found.group(1))
        self.assertEqual(len(probe["plots"]), 6)
        for plot in probe["plots"]:
            self.assertGreater(plot["width"], 300)
            self.assertGreater(plot["height"], 100)
            self.assertGreater(plot["lines"], 20)
        self.assertGreaterEqual(len(probe["tables"]), 14)
        for table in probe["tables"]:
            self.assertGreater(table["width"], 100)
            self.assertGreater(table["rows"], 0)


if __name__ == "__main__":
    unittest.main()
