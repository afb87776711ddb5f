"""Job control: assigning, running a build, the step contract, the journal, locks, properties, factories."""
