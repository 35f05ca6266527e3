"""The penstock command: local stack, commands, runs, dead letters, doctor."""
