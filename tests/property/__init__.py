"""Does the delivery keep its laws, whatever fails and whenever? Random worlds against a small model."""
