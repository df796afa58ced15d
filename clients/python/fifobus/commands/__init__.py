"""The commands of python3 -m fifobus. Not for import by programs."""
