"""What the runtime's speed is measured with: `python -m bench.runtime`."""
