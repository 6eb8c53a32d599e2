"""The daemon as a whole: one instance, what its configurations keep going, and what is told of it."""
