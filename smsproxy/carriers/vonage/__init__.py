"""The carrier Vonage: requests, webhooks, signatures and faults. Its words are known only here."""
