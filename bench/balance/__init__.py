"""How evenly load is spread over replicas, and what that does to latency."""
