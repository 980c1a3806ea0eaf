"""Segment memberships from SQS become Oracle Responsys custom events.

Start reading in :mod:`responsys_activation.delivery`; every other module answers one question for it.
"""
