"""What the store promises, put to the test by killing whoever uses it."""
