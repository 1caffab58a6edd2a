"""API keys, request parsing, validation and errors that every API view shares."""
