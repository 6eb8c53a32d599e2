"""The journal: an SQLite file that alone knows which files were seen and what became of each."""
