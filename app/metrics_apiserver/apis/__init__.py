"""The APIs that this server serves: one object for each, and the table of them.

What belongs here is what one API does otherwise than another: its paths and parameters, the provider interface that
answers it, what of an answer is checked, what stands in for a missing one, what discovery and OpenAPI show of it. It
knows no HTTP, no provider by name, and no policy. Everybody else goes through the table.
"""
