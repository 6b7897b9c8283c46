"""The product's own framework with as little as possible in it, to compare with."""
