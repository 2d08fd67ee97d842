"""What a person types for their own pictures, a module for each command."""
