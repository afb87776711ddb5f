"""`make bench`: this master and Buildbot 4.3.0 do the same work in one run; costs and their ratios are printed.

Costs are CPU seconds of the master's process (user and system, from /proc), counts, bytes and resident memory.
Wall times are shown where they are what a person waits for; machines are noisy, so look at the ratios.
"""
