"""Looks for every path of the tree that a document or a comment names.

It reads the checkout in which the file lies that its argument names, so that a new
document cannot be forgotten.
"""

import os
import re
import sys
import unittest

# Files with these endings are source or documents, wherever they are named.
ENDINGS = "h|cc|c|js|py|proto|md|toml|bazel|bzl"
# Made by a run, and so not in the tree.
MADE = {"report.md"}
# Tests with trees of their own, whose paths they make up.
MADE_UP = {"tests/tools/tidy_rules_test.py"}
# Folders of the tree that a path in a comment begins with.
FOLDERS = "bench|broker|clients|proto|tests|third_party|tools"

ROOT = os.path.dirname(os.path.realpath(sys.argv.pop()))


def files():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name not in (".git", "__pycache__", "bench-report")
            and not name.startswith("bazel-")
        ]
        for name in names:
            yield os.path.join(folder, name)


def text_of(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def exists(folder, path):
    """Seen from the document or from the top, as both are usual."""
    return any(os.path.exists(os.path.join(top, path)) for top in (folder, ROOT))


def named_paths(folder, document):
    """What stands in backticks and looks like a path of the tree."""
    prose = re.sub(r"^```.*?^```$", "", document, flags=re.S | re.M)
    for quoted in re.findall(r"`([^`\n]+)`", prose):
        for word in quoted.split():
            if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", word) or word in MADE:
                continue
            first, slash, _ = word.partition("/")
            if re.search(rf"\w\.({ENDINGS})$", word):
                yield word
            elif slash and first not in (".", "..") and exists(folder, first):
                yield word


def missing_in(path):
    folder = os.path.dirname(path)
    text = text_of(path)
    if path.endswith(".md"):
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
        wanted = [*named_paths(folder, text), *links]
        return [name for name in wanted if not exists(folder, name)]
    text = text.replace(".pb.h", "")  # protoc makes those
    wanted = re.findall(
        rf"(?<![\w/.@-])((?:{FOLDERS})/[\w/.-]*\w\.(?:{ENDINGS}))\b", text
    )
    return [name for name in wanted if not exists(ROOT, name)]


class PathsTest(unittest.TestCase):
    maxDiff = None

    def test_every_path_that_a_file_names_is_there(self):
        missing = {}
        documents = 0
        for path in files():
            documents += path.endswith(".md")
            name = os.path.relpath(path, ROOT)
            found = [] if name in MADE_UP else missing_in(path)
            if found:
                missing[name] = found
        self.assertEqual(missing, {})
        self.assertGreaterEqual(documents, 8)

    def test_a_path_that_is_gone_is_found(self):
        folder = os.path.join(ROOT, "broker")
        text = "see `core/nowhere.h`, `seam/sink.h`, `no such word` and `T.last`"
        found = list(named_paths(folder, text))
        self.assertEqual(found, ["core/nowhere.h", "seam/sink.h"])
        self.assertFalse(exists(folder, found[0]))
        self.assertTrue(exists(folder, found[1]))


if __name__ == "__main__":
    unittest.main()
