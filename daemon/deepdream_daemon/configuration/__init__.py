"""Configuration: from ``config.toml`` to frozen settings, plugins and recipes."""
