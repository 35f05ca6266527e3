"""`penstock demo`: the whole hub on real parts and real transcripts, with the sums checked."""
