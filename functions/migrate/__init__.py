"""Brings the database's tables up to date, before the code that needs them gets any traffic.

在新代码接收流量之前升级数据库。
"""
