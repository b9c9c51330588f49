"""The function that verifies, measures and publishes.

负责校验、测量和发布的函数。
"""
