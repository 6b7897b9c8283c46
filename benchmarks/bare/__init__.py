"""A minimal service on the product's own framework, for comparison."""
