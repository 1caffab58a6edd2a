"""The REST API of conversations and routes. The URLs of its views are in conversations/urls.py."""
