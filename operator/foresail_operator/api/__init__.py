"""The ModelDeployment resource: its fields, its conditions and the schema that the API server is given."""
