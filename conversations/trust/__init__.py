"""Rules that keep people safe: opt-outs, blocks, limits, the loop breaker and the allowed destinations."""
