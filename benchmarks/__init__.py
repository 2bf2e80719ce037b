"""How fast our server is beside the Go test adapter: `make bench`, or `python -m benchmarks [--smoke]`.

Here belong: the peers and how they are started alike, the load, the figures and the report. Not here: anything that
the server needs to run, and no test: what is measured differs from run to run, what is computed is tested in
`tests/benchmarks`.
"""
