"""The nouns: frozen values with upstream's names, made of the standard library only.

No I/O, no HTTP, no wire format belongs here.
"""
