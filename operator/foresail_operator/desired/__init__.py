"""What should be there: pure builders from a ModelDeployment to the objects that serve it."""
