"""Publishing: outputs become visible whole, exactly once, and survive a crash; failures get their record."""
