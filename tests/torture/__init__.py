"""`make torture`: a real master, real slaves and a load of changes, while all of it is killed, frozen, reconfigured."""
