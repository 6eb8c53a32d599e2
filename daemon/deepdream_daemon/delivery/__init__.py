"""Delivery: finished dreams are brought to the sinks of their folders, beside the dreaming, until they have arrived."""
