"""Webhooks: signing and sending.

回调通知的签名与发送。
"""
