"""The generators behind one protocol, an adapter a file.

各家生成服务的统一接口，每家一个文件。
"""
