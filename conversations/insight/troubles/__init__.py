"""Troubles: conditions that a person must see to. kinds.py lists them, the other modules find and remember them.

A new kind needs a line in kinds.py, a finder in a module of find.FINDERS, a heading in docs/alerts.md, and a link in
smsproxy/cockpit/places.py. Tests compare all four.
"""
