"""The events that integrators read: written in the transaction of the change, read in order and without gaps."""
