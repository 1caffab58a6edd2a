"""The soak: real processes under steady traffic for minutes, while faults begin and end.

Nothing may be lost, doubled or reordered, and each fault must raise its troubles in time, and no others.
"""
