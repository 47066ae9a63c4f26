"""Files and entries of zips, each read once: hashed, and written if asked, on all cores.

Knows nothing of bags. Worker processes import parts of this room and nothing else,
so that they start at once: nothing is imported here.
"""
