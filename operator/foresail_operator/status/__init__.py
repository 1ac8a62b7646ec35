"""What is there, in words: pure functions from observed facts to conditions."""
