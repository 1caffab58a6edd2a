"""Configuration of gunicorn, found by `gunicorn smsproxy.wsgi` in this folder. Command line options override it."""

import logging
import multiprocessing
import os
import socket
import sys
from typing import Any

bind = "127.0.0.1:8000"
workers = 2
threads = 8
# Its threads get whole requests only, so that slow senders do not occupy them.
worker_class = "smsproxy.webserver.Worker"
# Open at once in each process, well below the usual limit of 1,024 open files.
worker_connections = 500
# Each process has its own queue of connections. With a shared queue, the process that wakes first takes most of the
# connections that a proxy keeps open, and the other one idles.
reuse_port = True
# Nothing uses it, and it would be a file in a home directory that a service may not have.
control_socket_disable = True


def on_starting(server: Any) -> None:
    _refuse_bad_settings()
    if "GUNICORN_FD" not in os.environ:  # Otherwise this server takes over the sockets of its predecessor.
        _refuse_used_ports(server.cfg.address)


def when_ready(server: Any) -> None:
    # With reuse_port, gunicorn's own line has no address.
    server.log.info("Each process listens at: %s", ", ".join(server.cfg.bind))


def post_worker_init(worker: Any) -> None:
    from smsproxy import tracing  # Settings are read in the workers only.

    tracing.start()


def _refuse_bad_settings() -> None:
    """Exit with the plain error. Otherwise every worker would log a traceback.

    A child reads the settings: workers that start later, after SIGHUP, must read them from the file again.
    """
    from smsproxy.start import check_before_serving  # After --chdir and --pythonpath have applied.

    child = multiprocessing.get_context("fork").Process(target=check_before_serving)
    child.start()
    child.join()
    if child.exitcode != 0:
        sys.exit(1)


def _refuse_used_ports(addresses: list[Any]) -> None:
    """Exit if a port is in use: with reuse_port the system would let a forgotten server share it silently."""
    for address in addresses:
        if isinstance(address, tuple):
            with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    trial.bind(address)
                except OSError as error:
                    sys.exit(f"{address[0]} port {address[1]} cannot be used: {error.strerror}.")


# In the format of LOG_FORMAT, without phone numbers.
logger_class = "smsproxy.logs.gunicorn_logger.RedactingLogger"
# For --access-logfile: the path without the query, which may hold numbers and texts. At the end, the request's id.
access_log_format = '%(h)s %(t)s "%(m)s %(U)s" %(s)s %(b)s %({x-request-id}o)s'

# Log lines of gunicorn that quote a request, or an error whose text or traceback may quote one.
_ABOUT_A_REQUEST = ("Invalid request", "Error handling", "Socket error processing request", "Error parsing")


class WithoutRequests(logging.Filter):
    """Reduce lines about bad requests to the sender and the kind of error: a request may hold numbers and texts."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = str(record.msg)
        if message.startswith(_ABOUT_A_REQUEST):
            kind = f" ({record.exc_info[0].__name__})" if record.exc_info and record.exc_info[0] else ""
            # "Invalid request from ip=127.0.0.1: the request line"; "Error handling request %s".
            record.msg = message.partition(": ")[0].partition(" %s")[0] + kind
            record.args = ()
            record.exc_info = record.exc_text = None
        return True


logging.getLogger("gunicorn.error").addFilter(WithoutRequests())
