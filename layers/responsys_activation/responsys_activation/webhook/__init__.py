"""What becomes of a request to the webhook?"""
