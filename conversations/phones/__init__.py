"""The phones page of the simulated network: what people, the network and the proxy do, side by side."""
