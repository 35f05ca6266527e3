"""Dead letters as people meet them: listed, read, replayed, discarded
(docs/operations/dead-letters.md).
"""
