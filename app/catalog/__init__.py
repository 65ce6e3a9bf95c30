"""The truth: one SQL database. All SQL of the project stands in this package."""
