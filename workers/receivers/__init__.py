"""Receivers on loopback for every channel: they record what arrives and misbehave on request.

The demo runs against them, and so do the tests; nothing in them is ever part of a real delivery.
"""
