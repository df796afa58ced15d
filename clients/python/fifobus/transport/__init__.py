"""How bytes reach the broker: finding a bus, a session's pipes, waiting."""
