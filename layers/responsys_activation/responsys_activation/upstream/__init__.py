"""How does each customer-data platform say that a membership changed?"""
