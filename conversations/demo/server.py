"""The demo's web server and its relay, in one process."""

import errno
import signal
import threading
import time
from typing import Any

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from conversations.delivery import wakeup
from conversations.delivery.relay import Relay
from conversations.worker import process

HOST = "127.0.0.1"


class PortInUse(Exception):
    """The server cannot use its port. The text says what to do."""


class SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: each page sends two requests a second."""


def bind(port: int) -> ThreadedWSGIServer:
    """Return a server that listens on the port and does not answer yet. Raise PortInUse."""
    try:
        return ThreadedWSGIServer((HOST, port), SilentHandler)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortInUse(f"Port {port} is in use. Stop its program, or choose another port with --port.") from None
        raise PortInUse(f"Port {port} cannot be used. Choose a port from 1024 to 65535 with --port.") from None


def serve(server: ThreadedWSGIServer, stop: threading.Event) -> None:
    """Answer requests and relay messages until `stop` is set. Finish what is in flight."""
    server.set_app(get_wsgi_application())

    def relay() -> None:
        try:
            process.run(Relay(), stop)
        finally:
            stop.set()  # Without its relay the demo is useless.

    threads = [threading.Thread(target=server.serve_forever), threading.Thread(target=relay)]
    for thread in threads:
        thread.start()
    while not stop.is_set():
        time.sleep(0.2)  # Not `stop.wait()`: the signal handler, in this same thread, would wait for its lock.
    wakeup.wake.set()
    server.shutdown()
    for thread in threads:
        thread.join()
    server.server_close()


def stop_on_signals() -> threading.Event:
    """Return an event that the first Ctrl-C or SIGTERM sets. The second one ends the process at once."""
    stop = threading.Event()

    def ask_to_stop(signum: int, frame: object) -> None:
        stop.set()
        signal.signal(signum, signal.SIG_DFL)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, ask_to_stop)
    return stop
