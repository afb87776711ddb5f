"""What people see of the master: the web, mail and other receivers of its events."""
