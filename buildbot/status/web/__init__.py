"""The web status: server-rendered pages, complete without JavaScript.

`site.py` takes requests, `routes.py` says which page answers which address, each `*_page.py` is a set of functions
`(request values, master) -> view record`, and `templates/` only format those records.
"""
