"""What the steps of other eras take and have, read from the packages themselves, beside what ours take and have."""
