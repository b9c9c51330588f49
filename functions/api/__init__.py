"""The HTTP function.

对外的 HTTP 接口函数。
"""
