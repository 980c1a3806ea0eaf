"""A commit becomes an archive that is deployed with nothing but the AWS CLI."""
