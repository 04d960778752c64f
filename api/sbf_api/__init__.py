"""The HTTP service: the same operations and handlers as a local workspace, for many users.

``sbf serve`` starts it; :func:`sbf_api.app.create_app` makes the ASGI
application.
"""
