"""An inbound message becomes one recorded outcome.

receive.py is the entrance, read_arrival.py finds the author and the recipients, and gates.py decides the outcome.
"""
