"""Commands beside `serve`: a client of the metrics APIs, and a rehearsal of a functions file.

What a command says goes to a text stream that it is given; arguments are read in `cli`.
"""
