"""Object storage behind one protocol, an adapter a file.

对象存储的统一接口，每种存储一个文件。
"""
