"""Decoding apart: small processes with limits turn untrusted bytes into pixels; only pixels and texts come back."""
