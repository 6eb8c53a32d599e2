"""What is said of records and settings to people and editors: help, examples, the schema, the reference."""
