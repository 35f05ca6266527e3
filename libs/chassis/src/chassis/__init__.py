"""What two services need and that holds no noun of the domain."""
