"""Whether the daemon lives and what it does, for machines that look after machines: heartbeats, health and metrics over
HTTP, and the protocol of systemd's notifications.
"""
