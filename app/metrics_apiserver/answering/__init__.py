"""What is answered, whichever way a request came in: one road below HTTP, walked on the worker's loop and on threads.

What belongs here is reading what a request asks for, having it judged, having its answer made, in which media type, and
noting it. It knows neither Flask nor a socket: `serving` calls it for plain requests, the blueprints for all others.
"""
