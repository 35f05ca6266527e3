"""Earnings-call transcripts in FactSet's XML layout: files in, structured JSON out."""
