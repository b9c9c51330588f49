"""Requests to addresses that callers name: which may be used, and a connection to those alone.

向调用方给出的地址发出请求：哪些地址可用，以及只连接这些地址。
"""
