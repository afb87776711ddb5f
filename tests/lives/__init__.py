"""A master's lives in one process: the real parts, a clock that tests move, and slaves that obey the protocol."""
