"""The same lifecycle on another library of durable execution, to measure beside.

对照测量：用其他持久化执行库实现同样的流程。
"""
