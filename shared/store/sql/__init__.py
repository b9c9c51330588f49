"""The store over SQL: SQLite, and MySQL's dialect.

用 SQL 数据库实现的任务表。
"""
