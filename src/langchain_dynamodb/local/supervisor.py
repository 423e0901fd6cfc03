"""A script, not a module: run a command and end it as soon as whoever started this script is gone.

The starter holds the other end of our standard input, which closes even when it is killed. A process that it
forked may hold that end too, so we also look at who our parent is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main(command: list[str]) -> int:
    """Run `command` until it ends, our standard input closes, our parent dies or we are told to stop."""
    parent = os.getppid()
    stop = threading.Event()

    def watch_input() -> None:
        os.read(0, 1)
        stop.set()

    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=watch_input, daemon=True).start()
    while child.poll() is None and os.getppid() == parent and not stop.wait(0.1):
        pass
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
