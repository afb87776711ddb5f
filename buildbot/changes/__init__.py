"""What brings changes: pollers, the PB source, and the filter that picks among them."""
