"""The function that submits, checks and stores.

负责提交、查询和保存的函数。
"""
