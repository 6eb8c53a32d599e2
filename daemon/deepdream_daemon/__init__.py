"""The daemon: watches folders, keeps the journal, drives the engine and publishes its dreams. No torch at import."""
