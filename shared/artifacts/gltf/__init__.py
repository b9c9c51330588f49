"""Is a model whole, and what is in it.

模型是否完整、包含什么。
"""
