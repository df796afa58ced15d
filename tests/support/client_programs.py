"""Every client of this repository as a program that takes `pub TOPIC` and
`sub PATTERN`, and works on lines."""

import os
import shutil
import sys

from tests.support.fifobus_support import binary

# The modules that Bazel put here reach children by this.
os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)

SESSION_CLIENTS = {
    "cli": [binary("fifobus")],
    "cpp": [binary("tests/interop/interop_client")],
    "python": [sys.executable, "-m", "fifobus"],
    "asyncio": [sys.executable, binary("tests/interop/interop_asyncio.py")],
    "c": [binary("clients/examples/client")],
}
if shutil.which("node"):
    SESSION_CLIENTS["node"] = ["node", binary("clients/examples/client.js")]
else:
    print("SKIPPED: the Node.js client; there is no `node` here", file=sys.stderr)

TAP_CLIENTS = {"tap": [binary("clients/examples/tap")]}
