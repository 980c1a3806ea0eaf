"""What survives which fault? A suite against the deployed local stack, and the table in docs/reliability.md."""
