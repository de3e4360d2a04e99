"""What is measured: speed as ratios within one run, and proofs too long for the tests."""
