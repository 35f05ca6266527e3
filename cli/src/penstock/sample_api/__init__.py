"""A stand-in for the APIs that Penstock reads: real series and people in the providers' own shapes,
and every way in which such an API fails.

The demo and the tests talk to it over HTTP; it runs as a process of its own and knows nothing of
the hub.
"""
