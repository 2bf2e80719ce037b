"""What people install: the wheel, a provider package beside it, and the pages' commands followed step by step."""
