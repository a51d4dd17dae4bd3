"""``ansible-playbook`` as ansible-runner starts it: hands its descriptors to the warm process and waits.

Started as ``python -IS shim.py SOCKET STOCK ARGUMENT...``, so it imports nothing but the standard library.
Where no warm process answers, it becomes the stock ansible-playbook. It ends as the run ended; when it dies,
the warm process ends the run.
"""

import array
import json
import os
import signal
import socket
import sys

# Nothing of the run is known: ansible-runner sees a failed run without outcome, and the object is run again.
EXIT_LOST = 70


def main() -> None:
    """Hand the run over and wait for its end."""
    path, stock, *arguments = sys.argv[1:]
    connection = _connect(path)
    if connection is None:
        os.execv(stock, [stock, *arguments])
    request = json.dumps({"arguments": [stock, *arguments], "environment": dict(os.environ), "folder": os.getcwd()})
    # The run has the same signal from its own sender, or hears of this one.
    signal.signal(signal.SIGTERM, lambda *_: connection.sendall(b"T"))
    payload = request.encode()
    # The standard library's send_fds needs site-packages' absence just as little, but more imports.
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
