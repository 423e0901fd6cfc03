"""Messages to bytes, and back. No I/O."""
