"""What becomes of sources once their dreams are safe, and of files that are no pictures: all that touches either."""
