"""Why a file is or is not a dream, and what to do about it."""
