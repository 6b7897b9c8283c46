"""What `manage.py doctor` looks at: each check is one small function that returns findings."""
