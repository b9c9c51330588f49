"""The deployed functions, one folder each.

每个文件夹就是一个被部署的云函数。
"""
