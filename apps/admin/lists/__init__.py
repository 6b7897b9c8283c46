"""What all admin lists share: row visibility by organization, filters, search, paging and times.

May import the other apps' models; it is the admin's lowest layer. Must not import any page, or run a query whose
cost grows with the table.
"""
