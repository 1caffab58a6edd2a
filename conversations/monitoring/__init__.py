"""What machines ask about the health of this program: load balancers, containers and Prometheus."""
