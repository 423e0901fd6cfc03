"""Decides: from the state seen and what is asked for to the next state and the condition it depends on. No I/O."""
