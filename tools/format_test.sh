#!/usr/bin/env bash
# Fails and shows the difference if a C++ file of the tree is not formatted as
# .clang-format says. Runs outside the sandbox, on the checkout itself, so that a new
# file cannot be forgotten.
set -euo pipefail
cd "$(dirname "$(readlink -f "$1")")"

status=0
while IFS= read -r file; do
  if ! diff -u --label "$file" --label "$file, formatted" \
      "$file" <(clang-format-14 --style=file "$file"); then
    status=1
  fi
done < <(find . -path './bazel-*' -prune -o -name .git -prune -o \
           -type f \( -name '*.h' -o -name '*.cc' \) -print | sort)

if [ "$status" -ne 0 ]; then
  echo "format them with: clang-format-14 -i FILE"
fi
exit "$status"
