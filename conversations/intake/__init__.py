"""An inbound message becomes one recorded outcome."""
