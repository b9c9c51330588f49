"""The job table behind one protocol, an adapter a file.

任务表的统一接口，每种数据库一个文件。
"""
