"""What stands behind `./x`: set-up, installing, the benchmark. Standard library only."""
