"""Search, buy, configure, sync, top up and release virtual numbers."""
