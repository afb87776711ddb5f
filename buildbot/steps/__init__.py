"""The catalogue of build steps."""
