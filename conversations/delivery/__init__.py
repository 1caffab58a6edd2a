"""The outbox: queueing, claiming, sending and what the carrier reports back.

A message passes outbox.py (queued), claim.py (claimed), relay.py (sent), results.py (recorded) and receipts.py
(delivered), in this order. A claim is committed before the carrier is called, which prevents double sends.
"""
