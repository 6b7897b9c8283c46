"""The database below the models: prepared SQL, group commit, encryption, tenant filters, recovery from lost servers.

May import Django's database layer, psycopg and `notifier.lib`.
Must not import an HTTP framework or name a table of an app.
"""
