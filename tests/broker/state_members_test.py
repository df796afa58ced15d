"""Checks that an upgrade forgets no data member of a class that it takes over.

broker/state/MEMBERS lists each member of each such class, with the field of its
message that carries it, or with the reason why none does. A member that is added to a
class, and not to the list, fails here; so does a field that no member is behind.

It reads the checkout in which the file lies that its argument names.
"""

import os
import re
import sys
import unittest

ROOT = os.path.dirname(os.path.realpath(sys.argv.pop()))
LIST = "broker/state/MEMBERS"
# Declarations that are no data members.
OTHER = re.compile(
    r"(using|friend|typedef|template|static|enum|explicit|virtual)\b"
    r"|(class|struct|union)\s+(\[\[\w+\]\]\s+)?\w+\s*(;|$|:|\{)"
)


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/|^\s*#[^\n]*", "", text, flags=re.S | re.M)


def block_end(text, begin):
    """Behind the brace that closes the one at `begin`."""
    depth = 0
    for at in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    raise ValueError("a brace is not closed")


def body_of(text, name, keywords):
    found = re.search(rf"\b({keywords})\s+{name}\b[^;{{}}()]*\{{", text)
    if found is None:
        return None
    return text[found.end() : block_end(text, found.end() - 1) - 1]


def declarations(body):
    """What stands in a class itself, with {} for all that is in braces."""
    body = re.sub(r"\b(public|private|protected):", "", body)
    at = 0
    one = ""
    while at < len(body):
        if body[at] == "{":
            at = block_end(body, at)
            one += "{}"
            rest = body[at:].lstrip()
            # A function's body, and not an initializer or a class.
            if "(" in one and not rest.startswith((";", ",", "{", ")")):
                one = ""
        elif body[at] == ";":
            yield one.strip()
            one = ""
            at += 1
        else:
            one += body[at]
            at += 1


def members_of(body):
    for one in declarations(body):
        if not one or OTHER.match(one) or "operator" in one:
            continue
        one = re.sub(r"\b(ABSL_\w+|alignas)\s*\([^()]*\)", "", one)
        plain = None
        while plain != one:
            plain, one = one, re.sub(r"<[^<>]*>", "", one)
        one = re.split(r"=|\{", one)[0]
        if "(" in one:
            continue
        words = re.findall(r"\w+", re.sub(r"\[.*?\]|(?<!:):(?!:).*", "", one))
        yield words[-1]


def class_members(path, name):
    body = without_comments(text_of(path))
    for part in name.split("::"):
        body = body_of(body, part, "class|struct")
        if body is None:
            return None
    return list(members_of(body))


def message_fields():
    """The fields of each message, by its name within the package."""
    fields = {}

    def read(body, prefix):
        at = 0
        while found := re.compile(r"\b(message|enum|oneof)\s+(\w+)\s*\{").search(
            body, at
        ):
            end = block_end(body, found.end() - 1)
            inner = body[found.end() : end - 1]
            if found.group(1) == "message":
                name = prefix + found.group(2)
                own = re.sub(r"\b(message|enum)\s+\w+\s*\{", "{", inner)
                flat = own
                while "{" in flat and flat != re.sub(r"\{[^{}]*\}", "", flat):
                    flat = re.sub(r"\{[^{}]*\}", "", flat)
                fields[name] = set(re.findall(r"\b(\w+)\s*=\s*\d+\s*[;\[]", flat))
                read(inner, name + ".")
            at = end

    folder = os.path.join(ROOT, "broker/state")
    for name in sorted(os.listdir(folder)):
        if name.endswith(".proto"):
            read(without_comments(text_of("broker/state/" + name)), "")
    return fields


class Entry:
    def __init__(self, line):
        self.members = {}  # the fields, or the reason
        self.path, self.name, arrow, self.message = line.split()
        assert arrow == "->", line


def entries():
    listed = []
    for line in text_of(LIST).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" "):
            member, what = line.split(None, 1)
            listed[-1].members[member] = what
        else:
            listed.append(Entry(line))
    return listed


class StateMembersTest(unittest.TestCase):
    def test_each_member_is_listed(self):
        for entry in entries():
            with self.subTest(entry.name):
                there = class_members(entry.path, entry.name)
                self.assertIsNotNone(there, f"{entry.path} has no {entry.name}")
                for member in there:
                    self.assertIn(
                        member,
                        entry.members,
                        f"{entry.name} has the member {member} since: name in {LIST}"
                        f" the field of {entry.message} that takes it over an upgrade,"
                        " or - and why none does",
                    )
                for member in entry.members:
                    self.assertIn(member, there, f"{entry.name} has no such member")

    def test_each_field_has_a_member(self):
        fields = message_fields()
        used = {}
        for entry in entries():
            named = used.setdefault(entry.message, set())
            for member, what in entry.members.items():
                if what.startswith("-"):
                    self.assertGreater(len(what), 2, f"{entry.name}: {member}: why?")
                    continue
                for field in re.split(r",\s*", what):
                    with self.subTest(f"{entry.name}.{member}"):
                        self.assertIn(field, fields[entry.message])
                    named.add(field)
        for message, named in used.items():
            with self.subTest(message):
                self.assertEqual(fields[message] - named, set(), "no member is behind")

    def test_finds_members_whatever_they_look_like(self):
        body = without_comments(
            """
            explicit Group(int a) : a_(a) {}
            // A comment; with a semicolon_;
            const std::string name_;
            std::map<int, std::vector<int>> map_ ABSL_GUARDED_BY(mutex_);
            const std::function<void(int)> on_end_;
            size_t first_ = 0;
            size_t second_{1};
            Counter counter_{};
            char bytes_[16];
            mutable Mutex mutex_;
            bool operator==(const Group&) const = default;
            int size() const { return size_; }
            void Add(int a, int b = 0);
            using Names = std::vector<std::string>;
            static constexpr int kMost = int{3} << 2;
            struct [[nodiscard]] Inner {
              int inner;
            };
            class Forward;
            std::optional<Inner> inner_ ABSL_GUARDED_BY(mutex_);
            """
        )
        self.assertEqual(
            list(members_of(body)),
            "name_ map_ on_end_ first_ second_ counter_ bytes_ mutex_ inner_".split(),
        )


if __name__ == "__main__":
    unittest.main()
