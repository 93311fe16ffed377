"""Golden adapters of losses, pools and heads."""
