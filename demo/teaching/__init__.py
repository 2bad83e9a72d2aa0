"""What the page teaches with: curves whose threshold moves, and lessons."""
