"""What two services need and that holds no noun of the domain.

Entry rule: a thing moves here when a second service needs it, and never earlier.
"""
