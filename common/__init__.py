"""What the five stages share: one idea to a module."""
