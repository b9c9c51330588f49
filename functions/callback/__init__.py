"""The function that sends webhooks.

负责发送回调通知的函数。
"""
