"""What a person sees: the live table, progress bars, logs, messages."""
