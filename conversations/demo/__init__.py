"""The scene, the server and the transcript of `manage.py demo`."""
