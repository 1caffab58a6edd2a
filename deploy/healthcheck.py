"""Exit 0 if the web server on this host answers, for the image, which has no curl. An argument names another path."""

import sys
import urllib.error
import urllib.request

path = sys.argv[1] if len(sys.argv) > 1 else "/livez"
try:
    urllib.request.urlopen(f"http://127.0.0.1:8000{path}", timeout=4).close()
except OSError as error:  # An HTTP error is one too.
    status = error.code if isinstance(error, urllib.error.HTTPError) else type(error).__name__
    sys.exit(f"{path}: {status}")
