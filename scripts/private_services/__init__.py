"""PostgreSQL, RabbitMQ and Redis as private instances, which tests and benchmarks start, freeze and kill.

May import the standard library alone, since `scripts/services` runs before anything is installed.
Must not signal, use or remove anything that it did not start itself.
"""
