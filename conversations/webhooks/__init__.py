"""The carrier's webhooks: where inbound messages and delivery receipts enter."""
