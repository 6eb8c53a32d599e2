"""Dreams without the daemon: named photos once, a dream again, the demo."""
