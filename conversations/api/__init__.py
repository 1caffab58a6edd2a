"""The REST API of conversations and routes."""
