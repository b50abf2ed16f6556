"""
The tests, in the order of the tree that they test; those that need real sockets and servers are in C{integration}.

With C{LPROXY_DENY_WARNINGS} set, as C{.ci/run} sets it, a Python warning that our own code causes is an error. What
other packages do among themselves, a deprecation say, is theirs to mend and never fails our tests.
"""

import os
import re
import signal
import warnings
from pathlib import Path

# a shell's background job ignores it, and so would the programs that the tests start and end like a user
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if os.environ.get("LPROXY_DENY_WARNINGS"):
    _root = re.escape(str(Path(__file__).resolve().parent.parent))
    # Python matches a module's name; trial, which emits warnings again after each test, has but the file's path
    warnings.filterwarnings("error", module=rf"(?:{_root}/)?(?:lproxy|tests|benchmark)[./]")
    # blamed on whoever happens to drop the coroutine, and always ours
    warnings.filterwarnings("error", message="coroutine .* was never awaited")
