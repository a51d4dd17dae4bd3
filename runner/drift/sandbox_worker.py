"""The program of :mod:`runner.drift.sandbox`: evaluates one policy text a line, and answers each with a dot.

``sandbox_worker.py CPU_LIMIT_S``. A line is the text and the bucket's ARN, in base64. It imports nothing
but the standard library and the role's policy.py. Its limits hold without its parent: the kernel ends it when a text
takes too much CPU or memory, and it ends by itself when its parent has ended.
"""

from __future__ import annotations

import base64
import contextlib
import os
import resource
import signal
import sys

from s3bucket import policy

# A namespace may have many texts that take long, and a run of the role for another one needs the CPU meanwhile.
_NICE = 5
_MAX_MEMORY = 256 * 2**20


def main() -> None:
    """Serve until the standard input ends."""
    cpu_limit_s = float(sys.argv[1])
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The default action ends the process in the kernel, also within a call that never returns to Python.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, cpu_limit_s)
        text, bucket_arn = (base64.b64decode(part).decode(errors="surrogatepass") for part in line.split(b" "))
        # What is wrong with a text is reported by who evaluates it next.
        with contextlib.suppress(policy.PolicyError):
            policy.examine(text, bucket_arn)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(b".")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
