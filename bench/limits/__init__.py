"""Whether limits hold: how exactly, at what cost to neighbours, and without leaving anything behind."""
