"""How numbers are written in each language of the admin, where Django's own way does not fit."""
