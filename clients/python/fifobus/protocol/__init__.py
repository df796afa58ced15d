"""What goes through the pipes: frames, topics, and what a session says when.

Nothing here opens, reads or writes a descriptor.
"""
