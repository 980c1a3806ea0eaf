"""Where is it kept? boto3 only."""
