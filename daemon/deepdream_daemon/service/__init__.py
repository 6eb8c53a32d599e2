"""The daemon as a service of the operating system: unit files for systemd, property lists for launchd."""
