"""What talks to a running master from outside: sendchange, and other clients of its ports."""
