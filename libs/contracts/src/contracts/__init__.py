"""Every message that travels between Penstock's services, and nothing else.

Import models from their own modules (`contracts.files`, `contracts.commands`, ...);
`contracts.topics` says which topic carries which message under which key.
"""
