"""Intake: files are noticed, waited for until they are whole, and given their job or a reason."""
