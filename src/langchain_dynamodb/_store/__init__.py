"""Carries out what the protocol decided, on one table."""
