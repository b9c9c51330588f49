"""What the functions have in common.

各个函数共用的代码。
"""
