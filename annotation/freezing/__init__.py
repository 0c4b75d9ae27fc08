"""From the votes of a project to the rows of a version, at any size and in little memory.

``load`` brings identities and votes into arrays, ``select`` decides on them what is kept (pure),
``content`` reads what the kept rows say a part at a time. ``python -m annotation.freezing RUN_DIR``
does it in the background.
"""
