"""How the database's tables came to be, step by step (Alembic).

数据库结构的变更历史。
"""
