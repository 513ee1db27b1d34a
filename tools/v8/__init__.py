"""V8 for Linux x86-64, put together from package registries."""
