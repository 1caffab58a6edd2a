"""The demo's web server and its relay, in one process, until it is told to stop."""

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
    pass


class SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """The pages ask for news twice a second: no line for each."""


def bind(port: int) -> ThreadedWSGIServer:
    """A server that has the port, and does not answer yet. Raises PortInUse."""
    try:
        return ThreadedWSGIServer((HOST, port), SilentHandler)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortInUse(f"Port {port} is in use. Stop what uses it, or choose another one with --port.") from None
        raise PortInUse(f"Port {port} cannot be used: choose another one with --port, 1024 to 65535.") from None


def serve(server: ThreadedWSGIServer, stop: threading.Event) -> None:
    """Answer requests and relay texts until `stop` is set. What is in flight then is finished."""
    server.set_app(get_wsgi_application())

    def relay() -> None:
        try:
            process.run(Relay(), stop)
        finally:
            stop.set()  # Without its relay the demo shows nothing: rather end.

    threads = [threading.Thread(target=server.serve_forever), threading.Thread(target=relay)]
    for thread in threads:
        thread.start()
    while not stop.is_set():
        time.sleep(0.2)  # Not `stop.wait()`, whose lock the signal's handler would wait for in this same thread.
    wakeup.wake.set()
    server.shutdown()
    for thread in threads:
        thread.join()
    server.server_close()


def stop_on_signals() -> threading.Event:
    """Set by the first Ctrl-C or SIGTERM. A second one ends the process at once."""
    stop = threading.Event()

    def ask_to_stop(signum: int, frame: object) -> None:
        stop.set()
        signal.signal(signum, signal.SIG_DFL)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, ask_to_stop)
    return stop
