"""``ansible-playbook`` as ansible-runner starts it: passes its descriptors to the warm process and waits.

Started as ``python -IS shim.py SOCKET STOCK ARGUMENT...``, so it imports nothing but the standard library. When no warm
process answers, it becomes the stock ansible-playbook. It exits with the run's exit status. When it is killed, the warm
process ends the run.
"""

import array
import json
import os
import signal
import socket
import sys

# The state of the run is not known. ansible-runner sees a failed run without outcome, and the object is run again.
EXIT_LOST = 70


def main() -> None:
    """Pass the run to the warm process and wait for its end."""
    path, stock, *arguments = sys.argv[1:]
    connection = _connect(path)
    if connection is None:
        os.execv(stock, [stock, *arguments])
    request = json.dumps({"arguments": [stock, *arguments], "environment": dict(os.environ), "folder": os.getcwd()})
    # The run gets the same signal from its own sender, or through this connection.
    signal.signal(signal.SIGTERM, lambda *_: connection.sendall(b"T"))
    payload = request.encode()
    # The standard library's send_fds would work without site-packages, too, but needs more imports.
    connection.sendmsg(
        [len(payload).to_bytes(4, "big")],
        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))],
    )
    connection.sendall(payload)
    answer = connection.recv(16)
    os._exit(int(answer) if answer else EXIT_LOST)


def _connect(path: str) -> "socket.socket | None":
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        return None
    return connection


if __name__ == "__main__":
    main()
