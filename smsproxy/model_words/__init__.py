"""The words of our models, marked for gettext. `make messages` writes its modules from translated_models.py."""
