"""The platform on one machine: functions, events, HTTP, files.

单机上的云平台：函数、事件、HTTP 与文件。
"""
