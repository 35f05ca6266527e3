"""Mirrors WRDS data sets to Parquet."""
