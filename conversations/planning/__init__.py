"""How many numbers a pool needs, why, and until when those that it has will do: from what its people really did."""
