"""The plugin host: finding plugins, taking each whole or not at all, calling them without trusting them."""
