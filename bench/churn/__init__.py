"""Churn: apps come, change, crash, sleep and go under load, and a model says who may answer what."""
