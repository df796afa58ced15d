"""Shows that tools/tidy finds what it is there for, in a tree made for it."""

import os
import subprocess
import tempfile
import unittest

TIDY = os.path.abspath("tools/tidy")


def class_with(comment):
    return f"{comment}\nclass Valve {{\n}};\n"


class TidyRulesTest(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.write("broker/good.h", class_with("// A valve. Thread-safe."))
        self.write("good.sh", '#!/bin/sh\necho "$1"\n')
        self.write("good.py", "print(1)\n")

    def write(self, path, text):
        path = os.path.join(self._folder.name, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def findings(self):
        tidy = subprocess.run(
            [TIDY, self._folder.name], stdout=subprocess.PIPE, text=True
        )
        found = tidy.stdout.splitlines()
        self.assertEqual(tidy.returncode, 1 if found else 0)
        return found

    def assert_finds(self, beginning):
        found = self.findings()
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(beginning), found)

    def test_a_tree_without_faults_has_no_findings(self):
        self.assertEqual(self.findings(), [])

    def test_a_function_of_71_lines_is_too_long_in_each_language(self):
        body = "  f();\n" * 69
        for path, text in {
            "long.cc": f"int main() {{\n{body}}}\n",
            "long.c": f"int main(void) {{\n{body}}}\n",
            "long.js": f"function main() {{\n{body}}}\n",
            "long.py": "def main():\n" + "    f()\n" * 70,
        }.items():
            with self.subTest(path):
                self.write(path, text)
                self.assert_finds(f"{path}:1: main has 71 lines")
                os.unlink(os.path.join(self._folder.name, path))

    def test_a_function_of_70_lines_is_not(self):
        body = "  f();\n" * 68
        self.write("long.cc", f"int main() {{\n{body}}}\n")
        self.assertEqual(self.findings(), [])

    def test_a_source_of_451_lines_is_too_long(self):
        self.write("long.cc", "int a;\n" * 451)
        self.assert_finds("long.cc:451: 451 lines")

    def test_a_class_in_a_header_says_which_threads_may_use_it(self):
        self.write("broker/valve.h", class_with("// A valve."))
        self.assert_finds("broker/valve.h:2: the comment of Valve has no thread word")

    def test_an_annotated_class_does_too(self):
        self.write("broker/valve.h", "class ABSL_LOCKABLE Valve {\n};\n")
        self.assert_finds("broker/valve.h:1: the comment of Valve has no thread word")

    def test_a_declaration_need_not(self):
        self.write("broker/valve.h", "class Valve;\n")
        self.assertEqual(self.findings(), [])

    def test_a_table_has_lines_that_can_be_read(self):
        self.write("a.md", "| a |\n|---|\n| " + "x" * 197 + " |\n")
        self.assert_finds("a.md:3: a table's line of 201 characters")

    def test_python_is_formatted(self):
        self.write("a.py", "print( 1 )\n")
        self.assert_finds("a.py:1: format it")

    def test_scripts_are_checked_whatever_their_names(self):
        self.write("run", "#!/usr/bin/env bash\necho $1\n")
        self.assert_finds("run:2: SC2086")


if __name__ == "__main__":
    unittest.main()
