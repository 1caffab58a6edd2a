"""The outbox: queueing, claiming, sending and what the carrier reports back."""
