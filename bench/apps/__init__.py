"""`./x bench-apps`: many apps in one host, how fast they wake, what a shared port costs, and how all that scales."""
