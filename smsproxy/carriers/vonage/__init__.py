"""The carrier Vonage: requests, webhooks, signatures and faults."""
