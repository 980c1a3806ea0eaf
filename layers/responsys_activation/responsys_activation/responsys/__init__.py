"""How does the Responsys API v1.3 speak? HTTP only."""
