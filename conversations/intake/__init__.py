"""An inbound text becomes one recorded outcome."""
