"""``ansible-playbook`` as ansible-runner starts it: passes its descriptors to the warm process and waits.

Started as ``python -IS shim.py SOCKET STOCK ARGUMENT...`` for each run, so it imports only modules that are part of the
interpreter: ``os``, ``socket``, ``signal`` and ``json`` would take two thirds of its time. When no warm process
answers, it becomes the stock ansible-playbook. It exits with the run's exit status. When it is killed, the warm process
ends the run.

A request is four bytes with its size, which the three standard streams come with, and then texts, separated by NUL: the
number of arguments, the arguments, the folder, and the environment.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import posix
import sys

# The state of the run is not known. ansible-runner sees a failed run without outcome, and the object is run again.
EXIT_LOST = 70
_INT = 4


def main() -> None:
    """Pass the run to the warm process and wait for its end."""
    path, stock, *arguments = sys.argv[1:]
    connection = _connect(path)
    if connection is None:
        posix.execv(stock, [stock, *arguments])
    texts = [text.encode(sys.getfilesystemencoding(), "surrogateescape") for text in (stock, *arguments)]
    texts = [b"%d" % len(texts), *texts, posix.getcwdb(), *(b"%s=%s" % item for item in posix.environ.items())]
    payload = b"\0".join(texts)
    # The run gets the same signal from its own sender, or through this connection.
    _signal.signal(_signal.SIGTERM, lambda *_: connection.sendall(b"T"))
    streams = b"".join(number.to_bytes(_INT, sys.byteorder) for number in range(3))
    connection.sendmsg([len(payload).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    connection.sendall(payload)
    answer = connection.recv(16)
    posix._exit(int(answer) if answer else EXIT_LOST)


def _connect(path: str) -> "_socket.socket | None":
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        return None
    return connection


if __name__ == "__main__":
    main()
