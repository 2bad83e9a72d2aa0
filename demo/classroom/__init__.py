"""Read it yourself: cases that a student reads before the network answers."""
